"""Which form of an answer its caller takes, and whether it has that answer already."""

import pytest

from app.web.content_negotiation import accepts_gzip, prefers_json
from app.web.etag import is_not_modified, weak_etag

ETAG = weak_etag(b"an answer")
FIREFOX_PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
CHROMIUM_IMAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json, text/plain, */*",
        "text/html, application/json;q=0.5, */*;q=0.1",
        "application/json;q=0.001",
        "image/*;q=0.5, application/json ; q=0.5",
        "application/json;version=1;q=0.9,*/*;q=0.8",
    ],
)
def test_who_names_json_gets_it(accept: str) -> None:
    assert prefers_json(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/*",
        "text/json",
        FIREFOX_PAGE,
        CHROMIUM_IMAGE,
        "application/json;q=0",
        "application/json;q=0.000, image/*;q=0",
        "application/json;q=0.5, image/png",
        "application/json;q=0.5, */*",
        "application/jsonp",
        ";q=1,,",
    ],
)
def test_who_does_not_or_wants_a_picture_more_gets_the_picture(accept: str) -> None:
    assert not prefers_json(accept)


@pytest.mark.parametrize(("accept", "taken"), [("gzip;q=0.001", True), ("gzip;q=0.000", False), ("gzip;q=0,*", False)])
def test_gzip_goes_by_its_weight(accept: str, *, taken: bool) -> None:
    assert accepts_gzip(accept) is taken


@pytest.mark.parametrize(
    "known", [ETAG, ETAG.removeprefix("W/"), f'"other", {ETAG}', f'"a,b",{ETAG} , W/"c"', "*", " * "]
)
def test_an_answer_is_known_by_its_etag(known: str) -> None:
    """Weak and strong ones are the same here, and there may be several."""
    assert is_not_modified({"HTTP_IF_NONE_MATCH": known}, ETAG)


@pytest.mark.parametrize("known", ["", '"other"', ETAG.strip('W/"'), f"{ETAG[:-2]}", '"*"', '"', f"x{ETAG[2:-1]}"])
def test_another_is_not(known: str) -> None:
    assert not is_not_modified({"HTTP_IF_NONE_MATCH": known}, ETAG)


def test_other_content_has_another_etag() -> None:
    assert weak_etag(b"another answer") != ETAG
