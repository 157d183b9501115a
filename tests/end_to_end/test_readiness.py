"""Whether the service says that it lives, and that it should get traffic."""

import http.client
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import gevent
import pytest

from tests.server.gunicorn_server import wait_until
from tests.support.processes import is_told, stopped
from tests.support.scripted_origin import Barrier, Origin, cover
from tests.support.service import CONFIG, Service, run_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose origin nobody asks, for the module."""
    with run_service(tmp_path_factory.mktemp("health"), CONFIG.format(origin="http://127.0.0.1:9")) as running:
        yield running


def connection_to(server: Service) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)


def said(connection: http.client.HTTPConnection, path: str, method: str = "GET") -> tuple[int, str]:
    """Return status and body of an answer."""
    connection.request(method, path)
    response = connection.getresponse()
    assert response.headers["Cache-Control"] == "no-store"
    return response.status, response.read().decode()


@pytest.mark.parametrize(("path", "word"), [("/healthz", "alive\n"), ("/readyz", "ready\n")])
def test_a_service_that_serves_is_alive_and_ready(service: Service, path: str, word: str) -> None:
    with closing(connection_to(service)) as connection:
        assert [said(connection, path), said(connection, path, "HEAD")] == [(200, word), (200, "")]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_other_methods_are_not_answered_there(service: Service, path: str) -> None:
    with closing(connection_to(service)) as connection:
        connection.request("POST", path, b"")
        response = connection.getresponse()
        response.read()
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


def test_a_worker_of_a_server_that_ends_is_not_ready_but_alive(origin: Origin, tmp_path: Path) -> None:
    """Which is said to those whose connections are open still."""
    origin.item(42, hold := Barrier(cover()))
    with (
        run_service(tmp_path, CONFIG.format(origin=origin.url)) as server,
        closing(connection_to(server)) as one,
        closing(connection_to(server)) as other,
    ):
        caller = gevent.spawn(server.client().get_cover, 42)
        assert hold.asked.wait(10)
        assert said(one, "/readyz") == said(other, "/readyz") == (200, "ready\n")
        (worker,) = server.workers()
        with stopped(worker):
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: is_told(worker, signal.SIGTERM), "it is told to leave")
            one.request("GET", "/readyz")
            other.request("GET", "/healthz")
        response = one.getresponse()
        assert (response.status, response.read()) == (503, b"not ready: shutting down\n")
        assert other.getresponse().status == 200
        hold.go.set()
        caller.get()


def test_a_worker_that_is_replaced_at_a_reload_stays_ready(origin: Origin, tmp_path: Path) -> None:
    """For callers find the service where it was."""
    origin.item(42, hold := Barrier(cover()))
    with (
        run_service(tmp_path, CONFIG.format(origin=origin.url)) as server,
        closing(connection_to(server)) as connection,
    ):
        caller = gevent.spawn(server.client().get_cover, 42)
        assert hold.asked.wait(10)
        assert said(connection, "/readyz") == (200, "ready\n")
        (worker,) = server.workers()
        with stopped(worker):
            server.reload()
            wait_until(lambda: is_told(worker, signal.SIGTERM), "it is told to leave")
            connection.request("GET", "/readyz")
        response = connection.getresponse()
        assert (response.status, response.read(), response.headers["Connection"]) == (200, b"ready\n", "close")
        hold.go.set()
        caller.get()


def test_a_worker_that_is_replaced_at_max_requests_stays_ready(origin: Origin, tmp_path: Path) -> None:
    """The only one serves until nothing is under way."""
    origin.item(42, hold := Barrier(cover()))
    extra = {"GUNICORN_CMD_ARGS": "--max-requests 2"}
    with run_service(tmp_path, CONFIG.format(origin=origin.url), extra=extra) as server:
        caller = gevent.spawn(server.client().get_cover, 42)
        assert hold.asked.wait(10)
        before = server.workers()
        for _ in range(3):
            with closing(connection_to(server)) as connection:
                assert said(connection, "/readyz") == (200, "ready\n")
        assert server.workers() == before
        hold.go.set()
        caller.get()
