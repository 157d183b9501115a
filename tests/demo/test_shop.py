"""The shop over real HTTP: pages after a delay, pictures at once, 404 for unknown paths."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import gevent
import pytest
from gevent.pywsgi import WSGIServer

from demo.catalogue import Catalogue, build_catalogue
from demo.shop import Shop
from tests.demo import ROOT

DELAY = 0.05


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The catalogue of the sample shop."""
    return build_catalogue()


@pytest.fixture
def shop(catalogue: Catalogue) -> Shop:
    """A shop with a shorter delay than the demo's."""
    return Shop(catalogue, delay=DELAY)


@pytest.fixture
def connection(shop: Shop) -> Iterator[HTTPConnection]:
    """A connection to the shop on loopback."""
    server = WSGIServer(("127.0.0.1", 0), shop, log=None)
    server.start()
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        yield connection
    finally:
        connection.close()
        server.stop(timeout=1)


def fetch(connection: HTTPConnection, path: str, *, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    """Send a request over a persistent connection; return the response and its body."""
    connection.request(method, path)
    response = connection.getresponse()
    return response, response.read()


def test_a_page_is_served_after_the_delay(catalogue: Catalogue, connection: HTTPConnection) -> None:
    product = next(product for product in catalogue.products.values() if product.cover_path is not None)
    started_at = time.monotonic()
    response, body = fetch(connection, product.page_path)
    assert time.monotonic() - started_at >= DELAY
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert str(product.cover_path) in body.decode()


def test_an_unknown_id_is_404(catalogue: Catalogue, connection: HTTPConnection) -> None:
    response, _ = fetch(connection, f"/context/detail/id/{catalogue.missing[0]}")
    assert response.status == 404


@pytest.mark.parametrize(
    "path", ["/nowhere", "/context/detail/id/", "/context/detail/id/x", "/multimedia/thumbs/1.jpg"]
)
def test_an_unknown_path_is_404(connection: HTTPConnection, path: str) -> None:
    assert fetch(connection, path)[0].status == 404


def test_covers_and_thumbnails_are_served(catalogue: Catalogue, connection: HTTPConnection, shop: Shop) -> None:
    """As SVG, although their paths end in .jpg."""
    product = next(product for product in catalogue.products.values() if product.cover_path is not None)
    for path in (product.cover_path, product.thumb_path):
        response, body = fetch(connection, str(path))
        assert response.status == 200
        assert response.headers["Content-Type"] == "image/svg+xml"
        assert body.startswith(b"<svg ")
    assert shop.pictures == 2
    assert shop.pages == 0


def test_every_picture_of_the_catalogue_exists(catalogue: Catalogue, connection: HTTPConnection) -> None:
    for product in catalogue.products.values():
        for path in (product.cover_path, product.thumb_path):
            assert path is None or fetch(connection, path, method="HEAD")[0].status == 200


def test_page_requests_are_counted(catalogue: Catalogue, connection: HTTPConnection) -> None:
    """Requests for product pages count, even for a product that does not exist; others do not."""
    for path in ("/", f"/context/detail/id/{catalogue.missing[0]}", next(iter(catalogue.products.values())).page_path):
        fetch(connection, path)
    response, body = fetch(connection, "/stats")
    assert response.headers["Content-Type"] == "application/json"
    assert body == b'{"pages": 2, "pictures": 0}'


def test_pages_are_served_concurrently(catalogue: Catalogue, shop: Shop) -> None:
    """Forty concurrent requests take about as long as one."""
    server = WSGIServer(("127.0.0.1", 0), shop, log=None)
    server.start()

    def fetch_page(content_id: int) -> int:
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        try:
            return fetch(connection, f"/context/detail/id/{content_id}")[0].status
        finally:
            connection.close()

    started_at = time.monotonic()
    requests = [gevent.spawn(fetch_page, content_id) for content_id in list(catalogue.products)[:40]]
    gevent.joinall(requests, timeout=10)
    server.stop(timeout=1)
    assert [request.value for request in requests] == [200] * 40
    assert time.monotonic() - started_at < 40 * DELAY / 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_shop_runs_alone(number: signal.Signals) -> None:
    """It prints its URL, and a signal ends it silently."""
    command = [sys.executable, "-m", "demo.shop"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = urlsplit(process.stdout.readline().strip())
        assert address.hostname is not None
        connection = HTTPConnection(address.hostname, address.port, timeout=10)
        response, _ = fetch(connection, address.path)
        connection.close()
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert response.status == 200
    assert (process.returncode, errors) == (0, "")


def test_only_get_and_head_are_allowed(connection: HTTPConnection) -> None:
    response, _ = fetch(connection, "/", method="POST")
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"
