"""The pages: in the ozon form, as large as real ones, and with the product's own cover alone."""

import re

import pytest
from selectolax.lexbor import LexborHTMLParser

from demo.catalogue import Catalogue, draw_up
from demo.pages import index_page, missing_page, product_page
from tests.demo import AWKWARD

COVER = re.compile(r"(/multimedia/audio_cd_covers/(?:\d+)\.jpg)")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The catalogue of the sample shop."""
    return draw_up()


def test_a_page_has_its_own_cover_path_alone(catalogue: Catalogue) -> None:
    """The rule of the ozon source finds the product's cover and nothing else, or nothing where it has none."""
    for product in catalogue.products.values():
        expected = [] if product.cover_path is None else [product.cover_path]
        assert COVER.findall(product_page(product, catalogue)) == expected


def test_a_page_is_of_realistic_size(catalogue: Catalogue) -> None:
    """A product page has about 50 kB."""
    for product in catalogue.products.values():
        assert 45_000 < len(product_page(product, catalogue).encode()) < 55_000


def test_a_page_tells_what_the_product_is(catalogue: Catalogue) -> None:
    """Title, artist, price and all tracks stand where a reader looks for them."""
    product = next(iter(catalogue.products.values()))
    page = LexborHTMLParser(product_page(product, catalogue))
    heading, price = page.css_first("h1"), page.css_first(".price")
    assert heading is not None
    assert price is not None
    assert heading.text() == f"{product.artist}. {product.title}"
    assert price.text() == f"{product.price} ₽"
    titles = [cell.text() for cell in page.css(".tracks td:nth-child(2)")]
    assert titles == [track.title for track in product.tracks]


def test_words_are_escaped(catalogue: Catalogue) -> None:
    """Words that look like markup come out as words."""
    text = product_page(AWKWARD, catalogue)
    page = LexborHTMLParser(text)
    heading = page.css_first("h1")
    assert heading is not None
    assert heading.text() == f"{AWKWARD.artist}. {AWKWARD.title}"
    assert "<script" not in text


def test_every_page_is_the_same_whenever_it_is_shown(catalogue: Catalogue) -> None:
    """A page's filler is drawn by the product's id, not anew."""
    product = next(iter(catalogue.products.values()))
    assert product_page(product, catalogue) == product_page(product, draw_up())


def test_the_index_links_to_every_product(catalogue: Catalogue) -> None:
    """The front page leads to all of them."""
    links = {link.attributes["href"] for link in LexborHTMLParser(index_page(catalogue)).css(".products a")}
    assert links == {product.page_path for product in catalogue.products.values()}


def test_the_missing_page_does_not_repeat_markup() -> None:
    """A path is shown as it was typed."""
    assert "<b>" not in missing_page("/<b>")
