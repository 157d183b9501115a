"""Content negotiation (Accept, Accept-Encoding) and conditional requests (If-None-Match)."""

import pytest

from app.web.content_negotiation import accepts_gzip, prefers_json
from app.web.etag import is_not_modified, weak_etag

ETAG = weak_etag(b"content")
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
def test_json_is_preferred_if_its_q_value_is_not_below_that_of_images(accept: str) -> None:
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
def test_json_is_not_preferred_if_it_is_unnamed_refused_or_below_images(accept: str) -> None:
    assert not prefers_json(accept)


@pytest.mark.parametrize(
    ("accept", "accepted"), [("gzip;q=0.001", True), ("gzip;q=0.000", False), ("gzip;q=0,*", False)]
)
def test_gzip_is_accepted_by_its_q_value(accept: str, *, accepted: bool) -> None:
    assert accepts_gzip(accept) is accepted


@pytest.mark.parametrize(
    "if_none_match", [ETAG, ETAG.removeprefix("W/"), f'"other", {ETAG}', f'"a,b",{ETAG} , W/"c"', "*", " * "]
)
def test_a_matching_etag_is_not_modified(if_none_match: str) -> None:
    """Weak and strong ETags compare equal, and the header may list several."""
    assert is_not_modified({"HTTP_IF_NONE_MATCH": if_none_match}, ETAG)


@pytest.mark.parametrize(
    "if_none_match", ["", '"other"', ETAG.strip('W/"'), f"{ETAG[:-2]}", '"*"', '"', f"x{ETAG[2:-1]}"]
)
def test_another_etag_is_modified(if_none_match: str) -> None:
    assert not is_not_modified({"HTTP_IF_NONE_MATCH": if_none_match}, ETAG)


def test_other_content_has_another_etag() -> None:
    assert weak_etag(b"other content") != ETAG
