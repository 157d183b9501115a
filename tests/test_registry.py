"""Which item a caller means."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.cover import ContentId
from app.errors import InvalidParams
from app.source import PageUrl, Pattern, Rule, Source
from app.sources.registry import Registry

RULES = [Rule(regex=Pattern("x"))]
SOURCES = Registry(
    {
        "ozon": Source(page_url=PageUrl("http://ozon.example/{id}"), extract=RULES, id_pattern=Pattern(r"\d{1,19}")),
        "caa": Source(page_url=PageUrl("http://caa.example/{id}"), extract=RULES),
        "uri": Source(page_url=PageUrl("http://uri.example/{id}"), extract=RULES, id_pattern=Pattern(r"[a-z:/.]+")),
    },
    default="ozon",
)


def test_an_int_and_its_digits_are_one_item() -> None:
    assert SOURCES.resolve(42) == SOURCES.resolve("42") == ContentId("ozon", "42")


@pytest.mark.parametrize(
    ("content_id", "source", "item"),
    [
        ("caa:a-1", "", ContentId("caa", "a-1")),
        ("a-1", "caa", ContentId("caa", "a-1")),
        ("caa:a-1", "caa", ContentId("caa", "a-1")),
        (7, "caa", ContentId("caa", "7")),
        ("ozon:7", "", ContentId("ozon", "7")),
        ("spotify:album", "uri", ContentId("uri", "spotify:album")),
        ("uri:uri:a", "", ContentId("uri", "uri:a")),
    ],
)
def test_an_item_is_named_by_id_prefix_or_source(content_id: int | str, source: str, item: ContentId) -> None:
    assert SOURCES.resolve(content_id, source) == item


BAD_IDS: list[Any] = [
    "",
    " 42",
    "42 ",
    "42\n",
    "-42",
    -42,
    "4a",
    "1" * 20,
    "٤٢",
    "\ud800",
    "42\x00",
    "../42",
    True,
    4.2,
    None,
    ["42"],
    {"id": "42"},
    b"42",
    datetime(2026, 1, 1, tzinfo=UTC),
    "nosuch:42",
    "caa:",
    "caa:..",
    "caa:.",
]


@pytest.mark.parametrize("content_id", BAD_IDS, ids=repr)
def test_a_bad_id_is_refused_in_one_line(content_id: object) -> None:
    with pytest.raises(InvalidParams) as caught:
        SOURCES.resolve(content_id)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("item_id", ["..", "a/../b", "./a", "a/."])
def test_an_id_is_never_a_step_in_a_path(item_id: str) -> None:
    """The page asked for would be another one than the item's."""
    with pytest.raises(InvalidParams):
        SOURCES.resolve(item_id, "uri")


@pytest.mark.parametrize("source", ["nosuch", "OZON", 5, None, ["caa"]])
def test_a_source_that_is_not_there_is_refused(source: object) -> None:
    with pytest.raises(InvalidParams, match="source"):
        SOURCES.resolve("42", source)


def test_a_long_id_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidParams) as caught:
        SOURCES.resolve("x" * 1_000_000)
    assert len(str(caught.value)) < 200


def test_an_id_is_percent_encoded_into_its_page_url() -> None:
    assert SOURCES["uri"].page_url_of("a b/ü?") == "http://uri.example/a%20b/%C3%BC%3F"
