"""Graceful shutdown: requests in progress are served, idle connections are closed."""

import signal
import time
from contextlib import ExitStack
from pathlib import Path

import gevent

from tests.server.gunicorn_server import OUR_WORKER, receive_all, receive_response, request, run_gunicorn, wait_until
from tests.support.processes import stopped

PLAIN = request("/echo", b"12345")


def test_idle_connections_do_not_delay_shutdown(tmp_path: Path) -> None:
    with run_gunicorn(tmp_path, OUR_WORKER, "--keep-alive", "60") as server, ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(20)]
        for connection in idle[:10]:
            connection.sendall(PLAIN)
            assert receive_response(connection).code == 200
        server.time_request()
        started_at = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert time.monotonic() - started_at < 2  # the master checks for exited workers every 0.1 seconds
        assert receive_all(idle[0]) == b""


def test_requests_in_progress_are_served(tmp_path: Path) -> None:
    """One request has an incomplete body, one has not been read by the worker, and one is sent during the shutdown."""
    with run_gunicorn(tmp_path, OUR_WORKER, "--keep-alive", "60") as server, ExitStack() as stack:
        half, unread, late = (stack.enter_context(server.connect()) for _ in range(3))
        for connection in (unread, late):
            connection.sendall(PLAIN)
            receive_response(connection)
        half.sendall(PLAIN[:-2])
        server.time_request()
        (worker,) = server.workers()
        with stopped(worker):
            unread.sendall(PLAIN)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: server.has_logged("Handling signal: term"), "the master has handled the signal")
        late.sendall(PLAIN)
        gevent.sleep(0.7)  # now the worker only waits for the incomplete request
        half.sendall(PLAIN[-2:])
        assert "Connection: close" in receive_response(half).headers
        assert receive_response(unread).code == receive_response(late).code == 200
        assert server.process.wait(10) == 0


def test_a_reload_under_load_loses_no_request(tmp_path: Path) -> None:
    """Clients with persistent connections that reconnect after "Connection: close" see no error."""
    with run_gunicorn(tmp_path, OUR_WORKER, "-w", "2") as server:
        server.time_request()
        before = server.workers()
        is_done = False

        def send_requests() -> int:
            count = 0
            while not is_done:
                with server.connect() as connection:
                    keep_alive = True
                    while keep_alive and not is_done:
                        connection.sendall(PLAIN)
                        response = receive_response(connection)
                        assert response.code == 200
                        keep_alive = "Connection: close" not in response.headers
                        count += 1
            return count

        clients = [gevent.spawn(send_requests) for _ in range(4)]
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.workers()) == 2 and not server.workers() & before, "all workers are new")
        is_done = True
        assert all(client.get() > 0 for client in clients)


def test_the_only_worker_accepts_until_it_is_idle_at_max_requests(tmp_path: Path) -> None:
    """A slow request in progress does not keep other clients out."""
    with run_gunicorn(tmp_path, OUR_WORKER, "--max-requests", "5") as server, server.connect() as slow:
        server.time_request()
        (first,) = server.workers()
        slow.sendall(PLAIN[:-1])
        assert max(server.time_request() for _ in range(10)) < 1
        assert server.workers() == {first}
        slow.sendall(PLAIN[-1:])
        assert receive_response(slow).code == 200
        assert server.time_request() < 3  # no worker accepts between the exit of one and the start of the next
        wait_until(lambda: first not in server.workers(), "the worker has exited")


def test_the_response_that_reaches_max_requests_closes_the_connection(tmp_path: Path) -> None:
    with run_gunicorn(tmp_path, OUR_WORKER, "--max-requests", "3") as server, server.connect() as connection:
        closes = []
        for _ in range(3):
            connection.sendall(PLAIN)
            closes.append("Connection: close" in receive_response(connection).headers)
        assert closes == [False, False, True]
        assert receive_all(connection) == b""
