"""Covers over plain HTTP: which status, which headers, which item."""

import http.client
import json
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

#: A source whose ids may be nearly anything.
FREE = """
[sources.free]
page_url = "{origin}/free/{{id}}"
id_pattern = '.{{1,200}}'
extract = [{{ css = 'img', attribute = 'src' }}]
private_network = true
"""


class Face:
    """The handler with a scripted origin."""

    def __init__(self, script: Script) -> None:
        self.story = LookupHarness({"42": script})
        self.handler = CoverEndpoint(
            sources=self.story.sources, lookup=self.story.lookup(), to_fault=fault_of, clock=self.story.clock
        )

    def get(self, path: str = "/cover/42", **variables: str) -> Response:
        """Ask as a WSGI server would."""
        return self.handler({"PATH_INFO": path, **variables})

    def record(self, **variables: str) -> tuple[Response, dict[str, Any]]:
        """Ask for JSON."""
        response = self.get(HTTP_ACCEPT="application/json", **variables)
        return response, json.loads(response.body or "{}")


def fault_of(error: Exception) -> Fault:
    return map_service_error(error) or Fault(INTERNAL_ERROR, "internal error, reference 1a")


def header(response: Response, name: str) -> str | None:
    return dict(response.headers).get(name)


@pytest.mark.parametrize("path", ["/cover/42", "/cover/shop/42", "/cover/shop:42", "/cover/shop/shop:42"])
def test_a_cover_is_led_to(path: str) -> None:
    response = Face(picture("/42.jpg")).get(path)
    assert (response.status, header(response, "Location")) == (307, URL)
    assert response.body == f"{URL}\n".encode()


def test_any_site_may_ask() -> None:
    assert header(Face(picture("/42.jpg")).get(), "Access-Control-Allow-Origin") == "*"


def test_caches_keep_the_two_forms_apart() -> None:
    face = Face(picture("/42.jpg"))
    assert header(face.get(), "Vary") == header(face.record()[0], "Vary") == "Accept"


def test_caches_may_keep_a_cover_for_as_long_as_it_is_fresh() -> None:
    face = Face(picture("/42.jpg"))
    assert header(face.get(), "Cache-Control") == "max-age=100"
    face.story.pass_time(60.5)
    assert header(face.get(), "Cache-Control") == "max-age=39"


def test_caches_may_keep_a_stale_cover_for_a_moment() -> None:
    face = Face(picture("/42.jpg"))
    face.get()
    face.story.pass_time(110)
    response = face.get()
    assert (response.status, header(response, "Cache-Control")) == (307, "max-age=10")


@pytest.mark.parametrize(
    ("error", "status", "caching"),
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
def test_a_failure_has_the_status_of_its_fault_and_a_line(error: Exception, status: int, caching: str) -> None:
    response = Face(failing(error)).get()
    assert (response.status, response.body) == (status, f"{error}\n".encode())
    assert (response.content_type, header(response, "Cache-Control")) == ("text/plain; charset=utf-8", caching)


def test_throttled_says_when_to_come_again() -> None:
    face = Face(failing(Throttled("the origin asked to wait", 30)))
    assert [(face.get().status, header(face.get(), "Retry-After")) for _ in range(2)] == [(429, "30")] * 2
    face.story.pass_time(12.5)
    assert header(face.get(), "Retry-After") == "18"


def test_a_script_of_any_site_may_see_when_to_come_again() -> None:
    response = Face(failing(Throttled("the origin asked to wait", 30))).get()
    assert header(response, "Access-Control-Expose-Headers") == "Retry-After"


def test_a_bug_is_500_and_tells_a_reference_alone() -> None:
    response = Face(failing(ZeroDivisionError("secret"))).get()
    assert (response.status, response.body) == (500, b"internal error, reference 1a\n")


@pytest.mark.parametrize("path", ["/cover/", "/cover/shop/", "/cover/no id", "/cover/nowhere/42", "/cover/\xff"])
def test_what_cannot_be_an_item_is_404_and_asks_nobody(path: str) -> None:
    face = Face(picture("/42.jpg"))
    response = face.get(path)
    assert (response.status, header(response, "Cache-Control")) == (404, "no-store")
    assert face.story.asked == []


def test_json_has_the_record() -> None:
    response, record = Face(picture("/42.jpg")).record()
    assert (response.status, response.content_type) == (200, "application/json")
    assert header(response, "Location") is None
    assert (record["outcome"], record["url"], record["source"], record["cache"]) == ("found", URL, "shop", "fetched")
    assert record.keys() == {
        *("outcome", "url", "source", "page_url", "final_url", "status", "rule", "misses"),
        *("fetched_at", "fresh_until", "cache", "error"),
    }


def test_json_of_a_failure_has_the_record_and_the_status() -> None:
    response, record = Face(failing(Blocked("a challenge"))).record()
    assert (response.status, record["outcome"], record["error"]) == (403, "blocked", "a challenge")


def test_json_of_what_has_no_record_has_the_error() -> None:
    face = Face(failing(Overloaded("too much is waiting")))
    assert face.record()[1] == {"error": "too much is waiting"}


def test_json_that_is_known_already_is_304() -> None:
    face = Face(picture("/42.jpg"))
    fetched, _ = face.record()
    etag = header(fetched, "ETag")
    assert etag is not None
    again, _ = face.record(HTTP_IF_NONE_MATCH=etag)
    assert (again.status, again.body, header(again, "ETag")) == (304, b"", etag)
    assert header(again, "Cache-Control") == "max-age=100"


def test_a_redirect_takes_no_condition() -> None:
    """RFC 9110, 13.2.1: conditions hold for answers that would be 2xx."""
    assert Face(picture("/42.jpg")).get(HTTP_IF_NONE_MATCH="*").status == 307


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin().serving() as served:
        yield served


@pytest.fixture(scope="module")
def server(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    config = (CONFIG + FREE).format(origin=origin.url)
    with run_service(tmp_path_factory.mktemp("covers"), config) as running:
        yield running


def ask(server: Service, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_an_img_may_name_a_cover(server: Service, origin: Origin) -> None:
    origin.item(42, cover(7))
    response, body = ask(server, "/cover/ozon/42", Accept="image/avif,image/*,*/*;q=0.8")
    url = f"{origin.url}/multimedia/audio_cd_covers/7.jpg"
    assert (response.status, response.headers["Location"], body) == (307, url, f"{url}\n".encode())


def test_head_is_the_same_without_a_body(server: Service, origin: Origin) -> None:
    origin.item(43, cover(8))
    ask(server, "/cover/43")
    got, body = ask(server, "/cover/43")
    head, nothing = ask(server, "/cover/43", "HEAD")
    assert (head.status, nothing) == (307, b"")
    assert head.headers["Content-Length"] == str(len(body))
    others = {"Date", "Cache-Control", "X-Request-Id"}
    assert {item for item in head.headers.items() if item[0] not in others} == {
        item for item in got.headers.items() if item[0] not in others
    }
    assert "no-body response" not in server.log.read_text()


def test_304_has_neither_type_nor_length(server: Service, origin: Origin) -> None:
    """They would speak of what is not there; and the connection goes on."""
    origin.item(44, cover(9))
    etag = ask(server, "/cover/44", Accept="application/json")[0].headers["ETag"]
    response, body = ask(server, "/cover/44", Accept="application/json", If_None_Match=etag)
    assert (response.status, body, response.headers["ETag"]) == (304, b"", etag)
    assert not {"Content-Length", "Content-Type", "Transfer-Encoding"} & set(response.headers)
    assert response.headers["Connection"] == "keep-alive"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_is_405_and_told_which(server: Service, method: str) -> None:
    response, _ = ask(server, "/cover/42", method)
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


ODD_IDS = ["a/b/c", "a:b", "v1.2", "Ænima 銀", "50%", "a?b#c", "a+b", "%41", "caa:x", "http://x.example/1?a=b&c"]


@pytest.mark.parametrize("item_id", ODD_IDS)
def test_any_id_can_be_written_in_a_path(server: Service, origin: Origin, item_id: str) -> None:
    """Percent-encoded, its slashes or not; the origin is asked for that very item."""
    target = f"/free/{quote(item_id, safe='/')}"
    origin.pages[target] = page(f'<img src="/{len(target)}.png">')
    for path in (f"/cover/free/{quote(item_id, safe='')}", f"/cover/free/{quote(item_id, safe='/:+')}"):
        response, _ = ask(server, path)
        assert (response.status, response.headers["Location"]) == (307, f"{origin.url}/{len(target)}.png")
    assert [request.target for request in origin.requests].count(target) == 1


def test_a_path_that_is_no_utf8_is_404(server: Service) -> None:
    response, body = ask(server, "/cover/free/%ff%fe")
    assert (response.status, body) == (404, b"the path is not UTF-8\n")


def test_an_unknown_id_is_told_in_json_too(server: Service) -> None:
    response, body = ask(server, "/cover/ozon/%3Cscript%3E", Accept="application/json")
    assert (response.status, response.headers["X-Content-Type-Options"]) == (404, "nosniff")
    assert json.loads(body)["error"].startswith("'<script>' is no id of ozon")
