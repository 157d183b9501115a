"""The shop over real HTTP: pages after a while, pictures at once, 404 for what is not there."""

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

from demo.catalogue import Catalogue, draw_up
from demo.shop import Shop
from tests.demo import ROOT

DELAY = 0.05


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The catalogue of the sample shop."""
    return draw_up()


@pytest.fixture
def shop(catalogue: Catalogue) -> Shop:
    """A shop that is less slow than the demo's."""
    return Shop(catalogue, delay=DELAY)


@pytest.fixture
def connection(shop: Shop) -> Iterator[HTTPConnection]:
    """A connection to the shop, which serves on loopback."""
    server = WSGIServer(("127.0.0.1", 0), shop, log=None)
    server.start()
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        yield connection
    finally:
        connection.close()
        server.stop(timeout=1)


def fetch(connection: HTTPConnection, path: str, *, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    """One exchange over a connection that stays open."""
    connection.request(method, path)
    response = connection.getresponse()
    return response, response.read()


def test_a_page_is_served_after_the_delay(catalogue: Catalogue, connection: HTTPConnection) -> None:
    product = next(product for product in catalogue.products.values() if product.cover_path is not None)
    begun = time.monotonic()
    response, body = fetch(connection, product.page_path)
    assert time.monotonic() - begun >= DELAY
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert str(product.cover_path) in body.decode()


def test_an_unknown_id_is_404(catalogue: Catalogue, connection: HTTPConnection) -> None:
    response, _ = fetch(connection, f"/context/detail/id/{catalogue.missing[0]}")
    assert response.status == 404


@pytest.mark.parametrize(
    "path", ["/nowhere", "/context/detail/id/", "/context/detail/id/x", "/multimedia/thumbs/1.jpg"]
)
def test_another_path_is_404(connection: HTTPConnection, path: str) -> None:
    assert fetch(connection, path)[0].status == 404


def test_a_cover_is_really_served(catalogue: Catalogue, connection: HTTPConnection, shop: Shop) -> None:
    """Both sizes of a picture come as SVG, whatever the path ends in."""
    product = next(product for product in catalogue.products.values() if product.cover_path is not None)
    for path in (product.cover_path, product.thumb_path):
        response, body = fetch(connection, str(path))
        assert response.status == 200
        assert response.headers["Content-Type"] == "image/svg+xml"
        assert body.startswith(b"<svg ")
    assert shop.pictures == 2
    assert shop.pages == 0


def test_every_picture_that_a_page_shows_is_there(catalogue: Catalogue, connection: HTTPConnection) -> None:
    """The shop has no broken pictures."""
    for product in catalogue.products.values():
        for path in (product.cover_path, product.thumb_path):
            assert path is None or fetch(connection, path, method="HEAD")[0].status == 200


def test_pages_are_counted(catalogue: Catalogue, connection: HTTPConnection) -> None:
    """Each request for a product's page counts, also one for a product that does not exist; nothing else does."""
    for path in ("/", f"/context/detail/id/{catalogue.missing[0]}", next(iter(catalogue.products.values())).page_path):
        fetch(connection, path)
    response, body = fetch(connection, "/stats")
    assert response.headers["Content-Type"] == "application/json"
    assert body == b'{"pages": 2, "pictures": 0}'


def test_pages_are_served_side_by_side(catalogue: Catalogue, shop: Shop) -> None:
    """Forty pages at once take about as long as one: slow is the page, not the shop."""
    server = WSGIServer(("127.0.0.1", 0), shop, log=None)
    server.start()

    def visit(content_id: int) -> int:
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        try:
            return fetch(connection, f"/context/detail/id/{content_id}")[0].status
        finally:
            connection.close()

    begun = time.monotonic()
    visits = [gevent.spawn(visit, content_id) for content_id in list(catalogue.products)[:40]]
    gevent.joinall(visits, timeout=10)
    server.stop(timeout=1)
    assert [visit.value for visit in visits] == [200] * 40
    assert time.monotonic() - begun < 40 * DELAY / 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_alone(number: signal.Signals) -> None:
    """By hand it says where it is, and ends quietly."""
    command = [sys.executable, "-m", "demo.shop"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as alone:
        assert alone.stdout is not None
        address = urlsplit(alone.stdout.readline().strip())
        assert address.hostname is not None
        connection = HTTPConnection(address.hostname, address.port, timeout=10)
        response, _ = fetch(connection, address.path)
        connection.close()
        alone.send_signal(number)
        _, errors = alone.communicate(timeout=10)
    assert response.status == 200
    assert (alone.returncode, errors) == (0, "")


def test_only_reading_is_allowed(connection: HTTPConnection) -> None:
    response, _ = fetch(connection, "/", method="POST")
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"
