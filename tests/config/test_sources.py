"""The registry of sources: which item an id stands for."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.config.rules import Regex, Rule
from app.config.source import Source
from app.config.sources import SourceRegistry
from app.config.url_templates import HostPattern, PageUrlTemplate
from app.domain.errors import InvalidParams
from app.domain.records import ItemId

RULES = [Rule(regex=Regex("x"))]
SOURCES = SourceRegistry(
    {
        "ozon": Source(
            page_url=PageUrlTemplate("http://ozon.example/{id}"), extract=RULES, id_pattern=Regex(r"\d{1,19}")
        ),
        "caa": Source(page_url=PageUrlTemplate("http://caa.example/{id}"), extract=RULES),
        "uri": Source(
            page_url=PageUrlTemplate("http://uri.example/{id}"), extract=RULES, id_pattern=Regex(r"[a-z:/.]+")
        ),
        "page": Source(
            page_url=PageUrlTemplate("{id}"),
            extract=RULES,
            id_pattern=Regex(r"https?://[^\s/?#@\\]+(?:[/?][^\s#]*)?"),
            allowed_hosts=[HostPattern("*.example")],
        ),
        "off": Source(page_url=PageUrlTemplate("{id}"), extract=RULES),
    },
    default="ozon",
)


def test_an_int_and_its_digits_are_the_same_item() -> None:
    assert SOURCES.resolve(42) == SOURCES.resolve("42") == ItemId("ozon", "42")


@pytest.mark.parametrize(
    ("content_id", "source", "item"),
    [
        ("caa:a-1", "", ItemId("caa", "a-1")),
        ("a-1", "caa", ItemId("caa", "a-1")),
        ("caa:a-1", "caa", ItemId("caa", "a-1")),
        (7, "caa", ItemId("caa", "7")),
        ("ozon:7", "", ItemId("ozon", "7")),
        ("spotify:album", "uri", ItemId("uri", "spotify:album")),
        ("uri:uri:a", "", ItemId("uri", "uri:a")),
    ],
)
def test_the_source_is_a_prefix_or_an_argument(content_id: int | str, source: str, item: ItemId) -> None:
    assert SOURCES.resolve(content_id, source) == item


INVALID_IDS: list[Any] = [
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


@pytest.mark.parametrize("content_id", INVALID_IDS, ids=repr)
def test_an_invalid_id_is_refused_in_one_line(content_id: object) -> None:
    with pytest.raises(InvalidParams) as caught:
        SOURCES.resolve(content_id)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("item_id", ["..", "a/../b", "./a", "a/."])
def test_an_id_with_dot_segments_is_refused(item_id: str) -> None:
    """Another page than the item's would be requested."""
    with pytest.raises(InvalidParams):
        SOURCES.resolve(item_id, "uri")


@pytest.mark.parametrize("source", ["nosuch", "OZON", 5, None, ["caa"]])
def test_an_unknown_source_is_refused(source: object) -> None:
    with pytest.raises(InvalidParams, match="source"):
        SOURCES.resolve("42", source)


@pytest.mark.parametrize(
    ("path", "item"),
    [
        ("7", ItemId("ozon", "7")),
        ("caa/a-1", ItemId("caa", "a-1")),
        ("caa:a-1", ItemId("caa", "a-1")),
        ("caa/caa:a-1", ItemId("caa", "a-1")),
        ("uri/a/b", ItemId("uri", "a/b")),
        ("uri:a/b", ItemId("uri", "a/b")),
        ("uri//a", ItemId("uri", "/a")),
        ("page/https://shop.example/a", ItemId("page", "https://shop.example/a")),
    ],
)
def test_the_first_segment_of_a_path_may_be_the_source(path: str, item: ItemId) -> None:
    assert SOURCES.resolve_path(path) == item


@pytest.mark.parametrize("path", ["", "caa", "caa/", "/7", "7/", "nosuch/7", "off/x", "uri/../a", "ozon/caa:a-1"])
def test_a_path_without_a_valid_id_is_refused(path: str) -> None:
    with pytest.raises(InvalidParams):
        SOURCES.resolve_path(path)


def test_a_long_id_is_truncated_in_the_message() -> None:
    with pytest.raises(InvalidParams) as caught:
        SOURCES.resolve("x" * 1_000_000)
    assert len(str(caught.value)) < 200


def test_an_id_is_percent_encoded_in_its_page_url() -> None:
    assert SOURCES["uri"].page_url_for("a b/ü?") == "http://uri.example/a%20b/%C3%BC%3F"


def test_the_message_for_a_disabled_source_names_allowed_hosts() -> None:
    assert "off" not in SOURCES
    assert set(SOURCES) == {"ozon", "caa", "uri", "page"}
    for call in (
        lambda: SOURCES.resolve("x", "off"),
        lambda: SOURCES.resolve("off:x"),
        lambda: SOURCES.resolve_name("off"),
    ):
        with pytest.raises(InvalidParams, match=r"^source off is off until it is given allowed_hosts$"):
            call()


@pytest.mark.parametrize(
    ("item_id", "url"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://Shop.example:8080/a/b?x=1&y=%20", "https://shop.example:8080/a/b?x=1&y=%20"),
        ("https://shop.example/книга?q=я", "https://shop.example/%D0%BA%D0%BD%D0%B8%D0%B3%D0%B0?q=%D1%8F"),
        ("http://пример.рф/a", "http://xn--e1afmkfd.xn--p1ai/a"),
        ("https://shop.example/100%/a|b", "https://shop.example/100%25/a%7Cb"),
        ("https://shop.example/a%2Fb%zz", "https://shop.example/a%2Fb%25zz"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
    ],
)
def test_an_id_may_be_a_whole_url(item_id: str, url: str) -> None:
    """Its page URL is the same URL in ASCII; existing percent-encoding is kept."""
    item = SOURCES.resolve(item_id, "page")
    assert item == ItemId("page", item_id)
    assert SOURCES["page"].page_url_for(item.id) == url
    assert SOURCES.resolve(f"page:{item_id}") == item


@pytest.mark.parametrize(
    "item_id",
    [
        "shop.example/a",
        "ftp://shop.example/",
        "javascript:alert(1)",
        "https://",
        "https:///a",
        "https://user@shop.example/",
        "https://user:word@shop.example/",
        "https://shop.example/#top",
        "https://shop.example/a b",
        "https://shop.example\\@evil.example/",
        "https://shop.example:99999/",
        "https://shop.example:port/",
        "https://[::1/",
        "https://a..b/",
        "https://sh%6fp.example/",
        "https://shop.example/../a",
        "https://shop.example/\ud800",
        "https://" + "я" * 80 + ".example/",
        "https://shop.example/" + "a" * 1980,
    ],
)
def test_an_id_that_must_be_a_url_is_validated(item_id: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        SOURCES.resolve(item_id, "page")
    assert len(str(caught.value)) < 200
