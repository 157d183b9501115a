"""Covers over plain HTTP: statuses, headers, JSON, and the paths of items."""

import http.client
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from app.domain.errors import Blocked, NoCover, NoSuchItem, OriginFailed, Overloaded, Throttled, TooSlow
from app.methods import map_service_error
from app.rpc.faults import INTERNAL_ERROR, Fault
from app.web.cover_endpoint import CoverEndpoint
from app.web.response import Response
from tests.support.lookup_harness import LookupHarness, Script, failing, picture
from tests.support.scripted_origin import Origin, cover, page
from tests.support.service import CONFIG, Service, run_service

URL = "https://shop.example/42.jpg"

#: A source that accepts nearly every id.
PERMISSIVE = """
[sources.permissive]
page_url = "{origin}/permissive/{{id}}"
id_pattern = '.{{1,200}}'
extract = [{{ css = 'img', attribute = 'src' }}]
private_network = true
"""


class EndpointHarness:
    """The endpoint with a lookup service. The page of item 42 is scripted."""

    def __init__(self, script: Script) -> None:
        self.lookup_harness = LookupHarness({"42": script})
        self.endpoint = CoverEndpoint(
            sources=self.lookup_harness.sources,
            lookup=self.lookup_harness.lookup(),
            to_fault=to_fault,
            clock=self.lookup_harness.clock,
        )

    def get(self, path: str = "/cover/42", **variables: str) -> Response:
        """Call the endpoint as a WSGI server does."""
        return self.endpoint({"PATH_INFO": path, **variables})

    def get_json(self, **variables: str) -> tuple[Response, dict[str, Any]]:
        """Request JSON; return the response and its decoded body."""
        response = self.get(HTTP_ACCEPT="application/json", **variables)
        return response, json.loads(response.body or "{}")


def to_fault(error: Exception) -> Fault:
    return map_service_error(error) or Fault(INTERNAL_ERROR, "internal error, reference 1a")


def header(response: Response, name: str) -> str | None:
    return dict(response.headers).get(name)


@pytest.mark.parametrize("path", ["/cover/42", "/cover/shop/42", "/cover/shop:42", "/cover/shop/shop:42"])
def test_a_cover_is_a_redirect_to_its_image(path: str) -> None:
    response = EndpointHarness(picture("/42.jpg")).get(path)
    assert (response.status, header(response, "Location")) == (307, URL)
    assert response.body == f"{URL}\n".encode()


def test_cors_allows_every_origin() -> None:
    assert header(EndpointHarness(picture("/42.jpg")).get(), "Access-Control-Allow-Origin") == "*"


def test_both_representations_vary_by_accept() -> None:
    harness = EndpointHarness(picture("/42.jpg"))
    assert header(harness.get(), "Vary") == header(harness.get_json()[0], "Vary") == "Accept"


def test_max_age_of_a_fresh_cover_is_its_remaining_freshness() -> None:
    harness = EndpointHarness(picture("/42.jpg"))
    assert header(harness.get(), "Cache-Control") == "max-age=100"
    harness.lookup_harness.pass_time(60.5)
    assert header(harness.get(), "Cache-Control") == "max-age=39"


def test_max_age_of_a_stale_cover_is_ten_seconds() -> None:
    harness = EndpointHarness(picture("/42.jpg"))
    harness.get()
    harness.lookup_harness.pass_time(110)
    response = harness.get()
    assert (response.status, header(response, "Cache-Control")) == (307, "max-age=10")


@pytest.mark.parametrize(
    ("error", "status", "cache_control"),
    [
        (NoSuchItem("no such item"), 404, "max-age=10"),
        (NoCover("no cover on the page"), 404, "max-age=10"),
        (Blocked("blocked"), 403, "no-store"),
        (OriginFailed("broken"), 502, "no-store"),
        (TooSlow("too slow"), 504, "no-store"),
        (Overloaded("too much is waiting"), 503, "no-store"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_has_the_status_and_the_text_of_its_fault(error: Exception, status: int, cache_control: str) -> None:
    response = EndpointHarness(failing(error)).get()
    assert (response.status, response.body) == (status, f"{error}\n".encode())
    assert (response.content_type, header(response, "Cache-Control")) == ("text/plain; charset=utf-8", cache_control)


def test_throttled_has_retry_after() -> None:
    harness = EndpointHarness(failing(Throttled("the origin asked to wait", 30)))
    assert [(harness.get().status, header(harness.get(), "Retry-After")) for _ in range(2)] == [(429, "30")] * 2
    harness.lookup_harness.pass_time(12.5)
    assert header(harness.get(), "Retry-After") == "18"


def test_cors_exposes_retry_after() -> None:
    response = EndpointHarness(failing(Throttled("the origin asked to wait", 30))).get()
    assert header(response, "Access-Control-Expose-Headers") == "Retry-After"


def test_a_bug_is_500_with_only_a_reference() -> None:
    response = EndpointHarness(failing(ZeroDivisionError("secret"))).get()
    assert response.status == 500
    assert re.fullmatch(rb"internal error, reference \w{8}\n", response.body)


@pytest.mark.parametrize("path", ["/cover/", "/cover/shop/", "/cover/no id", "/cover/nowhere/42", "/cover/\xff"])
def test_an_invalid_item_is_404_without_a_fetch(path: str) -> None:
    harness = EndpointHarness(picture("/42.jpg"))
    response = harness.get(path)
    assert (response.status, header(response, "Cache-Control")) == (404, "no-store")
    assert harness.lookup_harness.fetched_ids == []


def test_json_has_the_record() -> None:
    response, record = EndpointHarness(picture("/42.jpg")).get_json()
    assert (response.status, response.content_type) == (200, "application/json")
    assert header(response, "Location") is None
    assert (record["outcome"], record["url"], record["source"], record["cache"]) == ("found", URL, "shop", "fetched")
    assert record.keys() == {
        *("outcome", "url", "source", "page_url", "final_url", "status", "rule", "misses"),
        *("fetched_at", "fresh_until", "cache", "error"),
    }


def test_json_of_a_failure_has_the_record_and_the_status() -> None:
    response, record = EndpointHarness(failing(Blocked("a challenge"))).get_json()
    assert (response.status, record["outcome"], record["error"]) == (403, "blocked", "a challenge")


def test_json_without_a_record_has_the_error() -> None:
    harness = EndpointHarness(failing(Overloaded("too much is waiting")))
    assert harness.get_json()[1] == {"error": "too much is waiting"}


def test_json_with_a_matching_etag_is_304() -> None:
    harness = EndpointHarness(picture("/42.jpg"))
    fetched, _ = harness.get_json()
    etag = header(fetched, "ETag")
    assert etag is not None
    again, _ = harness.get_json(HTTP_IF_NONE_MATCH=etag)
    assert (again.status, again.body, header(again, "ETag")) == (304, b"", etag)
    assert header(again, "Cache-Control") == "max-age=100"


def test_a_redirect_ignores_if_none_match() -> None:
    """Conditions apply only to responses that would be 2xx (RFC 9110, 13.2.1)."""
    assert EndpointHarness(picture("/42.jpg")).get(HTTP_IF_NONE_MATCH="*").status == 307


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin().serving() as served:
        yield served


@pytest.fixture(scope="module")
def server(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    config = (CONFIG + PERMISSIVE).format(origin=origin.url)
    with run_service(tmp_path_factory.mktemp("covers"), config) as running:
        yield running


def fetch(server: Service, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_an_img_element_gets_a_redirect(server: Service, origin: Origin) -> None:
    origin.item(42, cover(7))
    response, body = fetch(server, "/cover/ozon/42", Accept="image/avif,image/*,*/*;q=0.8")
    url = f"{origin.url}/multimedia/audio_cd_covers/7.jpg"
    assert (response.status, response.headers["Location"], body) == (307, url, f"{url}\n".encode())


def test_head_has_the_headers_of_get_without_a_body(server: Service, origin: Origin) -> None:
    origin.item(43, cover(8))
    fetch(server, "/cover/43")
    get, body = fetch(server, "/cover/43")
    head, head_body = fetch(server, "/cover/43", "HEAD")
    assert (head.status, head_body) == (307, b"")
    assert head.headers["Content-Length"] == str(len(body))
    ignored = {"Date", "Cache-Control", "X-Request-Id"}
    assert {item for item in head.headers.items() if item[0] not in ignored} == {
        item for item in get.headers.items() if item[0] not in ignored
    }
    assert "no-body response" not in server.log.read_text()


def test_304_has_neither_type_nor_length(server: Service, origin: Origin) -> None:
    """Both headers would describe a body that is absent. The connection stays open."""
    origin.item(44, cover(9))
    etag = fetch(server, "/cover/44", Accept="application/json")[0].headers["ETag"]
    response, body = fetch(server, "/cover/44", Accept="application/json", If_None_Match=etag)
    assert (response.status, body, response.headers["ETag"]) == (304, b"", etag)
    assert not {"Content-Length", "Content-Type", "Transfer-Encoding"} & set(response.headers)
    assert response.headers["Connection"] == "keep-alive"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_is_405_with_allow(server: Service, method: str) -> None:
    response, _ = fetch(server, "/cover/42", method)
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


SPECIAL_IDS = ["a/b/c", "a:b", "v1.2", "Ænima 銀", "50%", "a?b#c", "a+b", "%41", "caa:x", "http://x.example/1?a=b&c"]


@pytest.mark.parametrize("item_id", SPECIAL_IDS)
def test_any_id_can_be_written_in_a_path(server: Service, origin: Origin, item_id: str) -> None:
    """The id is percent-encoded, with or without its slashes. Only the page of this item is fetched, and only once."""
    target = f"/permissive/{quote(item_id, safe='/')}"
    origin.pages[target] = page(f'<img src="/{len(target)}.png">')
    for path in (f"/cover/permissive/{quote(item_id, safe='')}", f"/cover/permissive/{quote(item_id, safe='/:+')}"):
        response, _ = fetch(server, path)
        assert (response.status, response.headers["Location"]) == (307, f"{origin.url}/{len(target)}.png")
    assert [request.target for request in origin.requests].count(target) == 1


def test_a_path_that_is_not_utf8_is_404(server: Service) -> None:
    response, body = fetch(server, "/cover/permissive/%ff%fe")
    assert (response.status, body) == (404, b"the path is not UTF-8\n")


def test_an_invalid_id_has_its_error_in_json(server: Service) -> None:
    response, body = fetch(server, "/cover/ozon/%3Cscript%3E", Accept="application/json")
    assert (response.status, response.headers["X-Content-Type-Options"]) == (404, "nosniff")
    assert json.loads(body)["error"].startswith("'<script>' is no id of ozon")
