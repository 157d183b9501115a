"""The pages: as large as real ones, and with the path of no other cover than the product's own."""

import re

import pytest
from selectolax.lexbor import LexborHTMLParser

from demo.catalogue import Catalogue, build_catalogue
from demo.pages import index_page, missing_page, product_page
from tests.demo import SPECIAL_CHARACTERS

COVER = re.compile(r"(/multimedia/audio_cd_covers/(?:\d+)\.jpg)")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The catalogue of the sample shop."""
    return build_catalogue()


def test_a_page_contains_only_its_own_cover_path(catalogue: Catalogue) -> None:
    """The rule of the ozon source matches the product's cover and nothing else, or nothing if it has none."""
    for product in catalogue.products.values():
        expected = [] if product.cover_path is None else [product.cover_path]
        assert COVER.findall(product_page(product, catalogue)) == expected


def test_a_page_has_a_realistic_size(catalogue: Catalogue) -> None:
    """About 50 kB."""
    for product in catalogue.products.values():
        assert 45_000 < len(product_page(product, catalogue).encode()) < 55_000


def test_a_page_describes_the_product(catalogue: Catalogue) -> None:
    """With its title, artist, price and tracks."""
    product = next(iter(catalogue.products.values()))
    page = LexborHTMLParser(product_page(product, catalogue))
    heading, price = page.css_first("h1"), page.css_first(".price")
    assert heading is not None
    assert price is not None
    assert heading.text() == f"{product.artist}. {product.title}"
    assert price.text() == f"{product.price} ₽"
    titles = [cell.text() for cell in page.css(".tracks td:nth-child(2)")]
    assert titles == [track.title for track in product.tracks]


def test_texts_are_escaped(catalogue: Catalogue) -> None:
    """Text that looks like markup is shown as text."""
    text = product_page(SPECIAL_CHARACTERS, catalogue)
    page = LexborHTMLParser(text)
    heading = page.css_first("h1")
    assert heading is not None
    assert heading.text() == f"{SPECIAL_CHARACTERS.artist}. {SPECIAL_CHARACTERS.title}"
    assert "<script" not in text


def test_a_page_is_always_the_same(catalogue: Catalogue) -> None:
    """Its filler depends only on the product's id."""
    product = next(iter(catalogue.products.values()))
    assert product_page(product, catalogue) == product_page(product, build_catalogue())


def test_the_index_links_to_every_product(catalogue: Catalogue) -> None:
    links = {link.attributes["href"] for link in LexborHTMLParser(index_page(catalogue)).css(".products a")}
    assert links == {product.page_path for product in catalogue.products.values()}


def test_the_404_page_escapes_the_path() -> None:
    assert "<b>" not in missing_page("/<b>")
