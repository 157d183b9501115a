"""The pictures: well-formed SVG with the title and the artist, the same each time."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from demo.catalogue import build_catalogue
from demo.motifs import MOTIFS
from demo.palettes import PALETTES
from demo.pictures import draw
from tests.demo import SPECIAL_CHARACTERS

SVG = "{http://www.w3.org/2000/svg}"


def test_every_cover_is_well_formed_and_has_its_text() -> None:
    """Each cover of the catalogue is XML that contains the full title and artist."""
    for product in build_catalogue().products.values():
        picture = ET.fromstring(draw(product).encode())
        assert picture.tag == f"{SVG}svg"
        text = " ".join(str(line.text) for line in picture.iter(f"{SVG}text"))
        assert text == f"{product.title} {product.artist}"


def test_a_cover_is_drawn_the_same_each_time() -> None:
    """It depends only on the product and the number of the cover."""
    assert draw(SPECIAL_CHARACTERS) == draw(SPECIAL_CHARACTERS)


@pytest.mark.parametrize("number", range(len(PALETTES) * len(MOTIFS)))
def test_texts_are_escaped_on_every_kind_of_cover(number: int) -> None:
    """In each layout, text that looks like markup is shown as text."""
    picture = ET.fromstring(draw(replace(SPECIAL_CHARACTERS, cover=number)).encode())
    text = " ".join(str(line.text) for line in picture.iter(f"{SVG}text"))
    assert text == f"{SPECIAL_CHARACTERS.title} {SPECIAL_CHARACTERS.artist}"
    assert picture.findtext(f"{SVG}title") == f"{SPECIAL_CHARACTERS.artist}: {SPECIAL_CHARACTERS.title}"


def test_all_covers_differ() -> None:
    """No two covers of the catalogue are the same picture."""
    covers = [draw(product) for product in build_catalogue().products.values()]
    assert len(set(covers)) == len(covers)


def test_a_long_title_fits_on_the_cover() -> None:
    """The font size is reduced for a long word."""
    long = replace(SPECIAL_CHARACTERS, title="Donaudampfschifffahrtsgesellschaftskapitän")
    for number in range(60):
        picture = ET.fromstring(draw(replace(long, cover=number)).encode())
        for line in picture.iter(f"{SVG}text"):
            assert len(str(line.text)) * float(line.attrib["font-size"]) * 0.6 <= 520
