"""The page's static files over HTTP: types, security headers, caching, and no path traversal."""

import gzip
import http.client
import re
from collections.abc import Iterator

import pytest

from app.web.static_files import FOLDER
from tests.support.service import CONFIG, Service, run_service


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service. No test uses its origin."""
    with run_service(tmp_path_factory.mktemp("files"), CONFIG.format(origin="http://127.0.0.1:9")) as running:
        yield running


def fetch(
    server: Service, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_the_page_links_to_every_file(server: Service) -> None:
    """Every file that the page links to is served."""
    _, page = fetch(server, "/")
    linked = set(re.findall(r'(?:src|href)="static/([^"]+)"', page.decode()))
    for name in sorted(linked):
        assert fetch(server, f"/static/{name}")[1] == (FOLDER / name).read_bytes()
    assert linked | {"index.html"} == {path.name for path in FOLDER.iterdir()}


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/static/page.js", "text/javascript; charset=utf-8"),
        ("/static/page.css", "text/css; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml"),
    ],
)
def test_a_file_has_its_content_type_and_the_security_headers(server: Service, path: str, content_type: str) -> None:
    response, _ = fetch(server, path)
    assert response.headers["Content-Type"] == content_type
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert set(response.headers["Content-Security-Policy"].split("; ")) == {
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src *"),
        *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
    }


def test_a_client_that_accepts_gzip_gets_gzip(server: Service) -> None:
    plain, body = fetch(server, "/static/page.css")
    compressed, data = fetch(server, "/static/page.css", {"Accept-Encoding": "gzip, br"})
    assert gzip.decompress(data) == body
    assert len(data) < len(body) / 2
    assert (compressed.headers["Content-Encoding"], plain.headers["Content-Encoding"]) == ("gzip", None)
    assert compressed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


def test_a_file_that_the_client_has_is_304(server: Service) -> None:
    """Cache-Control makes caches revalidate the file at each use."""
    first, _ = fetch(server, "/")
    assert first.headers["Cache-Control"] == "no-cache"
    for accepted in ("gzip", "identity"):
        headers = {"If-None-Match": first.headers["ETag"], "Accept-Encoding": accepted}
        again, body = fetch(server, "/", headers)
        assert (again.status, body, again.headers["Content-Length"]) == (304, b"", None)
        assert again.headers["ETag"] == first.headers["ETag"]
    other, _ = fetch(server, "/static/page.js", {"If-None-Match": first.headers["ETag"]})
    assert other.status == 200


def test_head_has_the_headers_of_get_without_a_body(server: Service) -> None:
    response, body = fetch(server, "/", method="HEAD")
    assert (response.status, body) == (200, b"")
    assert response.headers["Content-Length"] == str(len((FOLDER / "index.html").read_bytes()))


@pytest.mark.parametrize(("path", "allow"), [("/", "GET, HEAD, POST, OPTIONS"), ("/static/page.js", "GET, HEAD")])
def test_another_method_is_405(server: Service, path: str, allow: str) -> None:
    response, _ = fetch(server, path, method="PUT")
    assert (response.status, response.headers["Allow"]) == (405, allow)


@pytest.mark.parametrize(
    "path",
    [
        *("/static/", "/static", "/static/nothing.js", "/index.html", "/page.js"),
        *("/static/../page.py", "/static/%2e%2e/page.py", "/static/..%2fpage.py", "/static//etc/passwd"),
        *("/static/%2Fetc%2Fpasswd", "/static/page.js/", "/static/page.js%00", "/static/PAGE.JS"),
    ],
)
def test_another_path_is_404(server: Service, path: str) -> None:
    assert fetch(server, path)[0].status == 404
