"""Health endpoints: liveness (/healthz) and readiness (/readyz)."""

import http.client
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import gevent
import pytest

from tests.server.gunicorn_server import wait_until
from tests.support.processes import is_signal_pending, stopped
from tests.support.scripted_origin import Barrier, Origin, cover
from tests.support.service import CONFIG, Service, run_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service for the tests that need no origin."""
    with run_service(tmp_path_factory.mktemp("health"), CONFIG.format(origin="http://127.0.0.1:9")) as running:
        yield running


def connection_to(server: Service) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)


def status_and_body(connection: http.client.HTTPConnection, path: str, method: str = "GET") -> tuple[int, str]:
    """Send a request, and return the status and the body of the response."""
    connection.request(method, path)
    response = connection.getresponse()
    assert response.headers["Cache-Control"] == "no-store"
    return response.status, response.read().decode()


@pytest.mark.parametrize(("path", "body"), [("/healthz", "alive\n"), ("/readyz", "ready\n")])
def test_a_running_service_is_alive_and_ready(service: Service, path: str, body: str) -> None:
    with closing(connection_to(service)) as connection:
        assert [status_and_body(connection, path), status_and_body(connection, path, "HEAD")] == [
            (200, body),
            (200, ""),
        ]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_other_methods_are_not_allowed(service: Service, path: str) -> None:
    with closing(connection_to(service)) as connection:
        connection.request("POST", path, b"")
        response = connection.getresponse()
        response.read()
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


def test_a_worker_that_is_shutting_down_is_alive_but_not_ready(origin: Origin, tmp_path: Path) -> None:
    """Only open connections receive this response, since a server that shuts down accepts no new ones."""
    origin.item(42, barrier := Barrier(cover()))
    with (
        run_service(tmp_path, CONFIG.format(origin=origin.url)) as server,
        closing(connection_to(server)) as readiness,
        closing(connection_to(server)) as liveness,
    ):
        caller = gevent.spawn(server.client().get_cover, 42)
        assert barrier.reached.wait(10)
        assert status_and_body(readiness, "/readyz") == status_and_body(liveness, "/readyz") == (200, "ready\n")
        (worker,) = server.workers()
        with stopped(worker):
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: is_signal_pending(worker, signal.SIGTERM), "SIGTERM is pending")
            readiness.request("GET", "/readyz")
            liveness.request("GET", "/healthz")
        response = readiness.getresponse()
        assert (response.status, response.read()) == (503, b"not ready: shutting down\n")
        assert liveness.getresponse().status == 200
        barrier.go.set()
        caller.get()


def test_a_worker_that_is_replaced_at_a_reload_stays_ready(origin: Origin, tmp_path: Path) -> None:
    """Clients can still reach the server: another worker accepts their next connection."""
    origin.item(42, barrier := Barrier(cover()))
    with (
        run_service(tmp_path, CONFIG.format(origin=origin.url)) as server,
        closing(connection_to(server)) as connection,
    ):
        caller = gevent.spawn(server.client().get_cover, 42)
        assert barrier.reached.wait(10)
        assert status_and_body(connection, "/readyz") == (200, "ready\n")
        (worker,) = server.workers()
        with stopped(worker):
            server.reload()
            wait_until(lambda: is_signal_pending(worker, signal.SIGTERM), "SIGTERM is pending")
            connection.request("GET", "/readyz")
        response = connection.getresponse()
        assert (response.status, response.read(), response.headers["Connection"]) == (200, b"ready\n", "close")
        barrier.go.set()
        caller.get()


def test_a_worker_that_is_replaced_at_max_requests_stays_ready(origin: Origin, tmp_path: Path) -> None:
    """If it is the only worker, it accepts requests until none is in flight."""
    origin.item(42, barrier := Barrier(cover()))
    extra = {"GUNICORN_CMD_ARGS": "--max-requests 2"}
    with run_service(tmp_path, CONFIG.format(origin=origin.url), extra=extra) as server:
        caller = gevent.spawn(server.client().get_cover, 42)
        assert barrier.reached.wait(10)
        before = server.workers()
        for _ in range(3):
            with closing(connection_to(server)) as connection:
                assert status_and_body(connection, "/readyz") == (200, "ready\n")
        assert server.workers() == before
        barrier.go.set()
        caller.get()
