"""The pictures: well-formed SVG with the words of the record, the same each time."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from demo.catalogue import draw_up
from demo.motifs import MOTIFS
from demo.palettes import PALETTES
from demo.pictures import draw
from tests.demo import AWKWARD

SVG = "{http://www.w3.org/2000/svg}"


def test_every_cover_is_well_formed_and_says_what_it_is() -> None:
    """Each cover of the catalogue parses as SVG and shows title and artist in full."""
    for product in draw_up().products.values():
        picture = ET.fromstring(draw(product).encode())
        assert picture.tag == f"{SVG}svg"
        words = " ".join(str(line.text) for line in picture.iter(f"{SVG}text"))
        assert words == f"{product.title} {product.artist}"


def test_a_cover_is_drawn_the_same_each_time() -> None:
    """The number decides all of it."""
    assert draw(AWKWARD) == draw(AWKWARD)


@pytest.mark.parametrize("number", range(len(PALETTES) * len(MOTIFS)))
def test_awkward_words_are_escaped_on_every_kind_of_cover(number: int) -> None:
    """Whatever the layout, words that look like markup come out as words."""
    picture = ET.fromstring(draw(replace(AWKWARD, cover=number)).encode())
    words = " ".join(str(line.text) for line in picture.iter(f"{SVG}text"))
    assert words == f"{AWKWARD.title} {AWKWARD.artist}"
    assert picture.findtext(f"{SVG}title") == f"{AWKWARD.artist}: {AWKWARD.title}"


def test_covers_differ() -> None:
    """No two covers of the catalogue are the same picture."""
    covers = [draw(product) for product in draw_up().products.values()]
    assert len(set(covers)) == len(covers)


def test_a_long_title_stays_on_the_cover() -> None:
    """Type is made smaller where a word is long, rather than run off the edge."""
    long = replace(AWKWARD, title="Donaudampfschifffahrtsgesellschaftskapitän")
    for number in range(60):
        picture = ET.fromstring(draw(replace(long, cover=number)).encode())
        for line in picture.iter(f"{SVG}text"):
            assert len(str(line.text)) * float(line.attrib["font-size"]) * 0.6 <= 520
