"""JSON-LD: the values of a property, and limits."""

import pytest

from app.config.rules import Rule
from tests.extract.extraction import JSONLD, absolute, extract_from, json_ld_page, url_of


@pytest.mark.parametrize(
    ("blocks", "url"),
    [
        (['{"image": "/a.jpg"}'], "/a.jpg"),
        (['{"image": ["/a.jpg", "/b.jpg"]}'], "/a.jpg"),
        (['{"image": {"@type": "ImageObject", "url": "/a.jpg"}}'], "/a.jpg"),
        (['{"image": [{"contentUrl": "/a.jpg"}]}'], "/a.jpg"),
        (['[{"name": "x"}, [{"image": "/a.jpg"}]]'], "/a.jpg"),
        (['{"@graph": [{"@type": "WebSite"}, {"@type": "Book", "image": "/a.jpg"}]}'], "/a.jpg"),
        (['{"@graph": [{"image": {"@id": "#i"}}, {"@id": "#i", "url": "/a.jpg"}]}'], "/a.jpg"),
        (['{"image": {"@id": "#nowhere"}}'], None),
        (['{"image": {"@id": 5}}'], None),
        (['{"author": {"image": "/author.jpg"}}'], None),
        (["{broken", '{"image": "/a.jpg"}'], "/a.jpg"),
        (['{"name": "x"}', '{"image": "/a.jpg"}'], "/a.jpg"),
        (['{"text": "two\nlines\tlong", "image": "/a.jpg"}'], "/a.jpg"),
        (['{"text": "<!-- <script> <b>", "image": "/a.jpg"}'], "/a.jpg"),
        (['{"image": "/a?x=1&amp;y=2"}'], "/a?x=1&y=2"),
        (['{"image": "https:\\/\\/cdn.example\\/a.jpg"}'], "https://cdn.example/a.jpg"),
        (['{"image": [null, 5, "data:,", "/a.jpg"]}'], "/a.jpg"),
        (['{"image": {"url": ["/a.jpg"]}}'], "/a.jpg"),
        (["null", "5", '"text"', "[]", "{}"], None),
    ],
)
def test_jsonld(blocks: list[str], url: str | None) -> None:
    assert url_of(json_ld_page(*blocks), JSONLD) == absolute(url)


def test_json_ld_blocks_with_too_many_values_are_ignored() -> None:
    """The limit is for all blocks of a page; those before the limit is exceeded are read."""
    flood = f'{{"image": [{"1," * 60_000}1]}}'
    assert url_of(json_ld_page('{"image": "/a.jpg"}', flood, flood), JSONLD) == "https://shop.example/a.jpg"
    assert extract_from(json_ld_page(flood * 2), JSONLD).misses == (
        "jsonld image: its JSON-LD: JSON with too many values",
    )


def test_invalid_json_ld_is_a_miss() -> None:
    assert extract_from(json_ld_page("{broken"), JSONLD).misses == ("jsonld image: its JSON-LD: not valid JSON",)


def test_json_ld_with_another_property_and_upper_case_markup() -> None:
    page = '<SCRIPT TYPE="Application/LD+JSON; charset=utf-8">{"thumbnailUrl": "/t.jpg"}</SCRIPT>'
    assert url_of(page, Rule(jsonld="thumbnailUrl")) == "https://shop.example/t.jpg"
