"""The connection limit, and what happens when file descriptors run out."""

import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from tests.server.gunicorn_server import (
    OUR_WORKER,
    SHORT_TIMEOUT_WORKER,
    receive_all,
    receive_response,
    request,
    run_gunicorn,
    wait_until,
)

MAX_CONNECTIONS = 5
CONNECTION_LIMIT = ("--keep-alive", "60", "--worker-connections", str(MAX_CONNECTIONS))


@pytest.mark.parametrize(
    "beginning", [b"", b"POST /ec", b"POST /echo HTTP/1.1\r\nHost: server\r\nContent-Length: 1000000\r\n\r\n"]
)
def test_the_longest_waiting_connection_is_evicted_at_the_limit(tmp_path: Path, beginning: bytes) -> None:
    """Clients that send no request, or only a part of a request, do not keep other clients out."""
    with run_gunicorn(tmp_path, OUR_WORKER, *CONNECTION_LIMIT) as server, ExitStack() as stack:
        server.time_request()
        for _ in range(2 * MAX_CONNECTIONS):
            stack.enter_context(server.connect()).sendall(beginning)
        assert max(server.time_request() for _ in range(5)) < 1


def test_a_connection_beyond_the_limit_is_accepted_when_another_becomes_idle(tmp_path: Path) -> None:
    """An idle connection is evicted even if all connections were busy when the new client connected."""
    file = tmp_path / "waiting"
    file.touch()
    with run_gunicorn(tmp_path, OUR_WORKER, *CONNECTION_LIMIT) as server, ExitStack() as stack:
        waiting = list[socket.socket]()
        for _ in range(MAX_CONNECTIONS):
            waiting.append(stack.enter_context(server.connect()))
            waiting[-1].sendall(request(f"/wait?{file}"))
            wait_until(lambda: len(set(file.read_text("utf-8").split())) == len(waiting), "the request waits")
        late = stack.enter_context(server.connect())
        late.sendall(request("/echo"))
        size = file.stat().st_size
        wait_until(lambda: file.stat().st_size > size + 300, "the worker has had time to reach the limit")
        file.unlink()
        assert [receive_response(connection).body for connection in waiting] == [b"released"] * MAX_CONNECTIONS
        assert receive_response(late).code == 200


def test_the_limit_is_shared_by_all_listeners(tmp_path: Path) -> None:
    """Connections that wait at one listener are evicted for clients of another."""
    with socket.create_server(("127.0.0.1", 0)) as other, ExitStack() as stack:
        server = stack.enter_context(run_gunicorn(tmp_path, OUR_WORKER, *CONNECTION_LIMIT, more_sockets=[other]))
        server.time_request()
        for _ in range(MAX_CONNECTIONS - 1):
            stack.enter_context(socket.create_connection(other.getsockname()))
        for _ in range(2 * MAX_CONNECTIONS):
            stack.enter_context(server.connect())
        assert max(server.time_request() for _ in range(5)) < 1


def test_waiting_connections_are_evicted_when_file_descriptors_run_out(tmp_path: Path) -> None:
    """Requests are served meanwhile, and the worker does not busy-wait."""
    with run_gunicorn(tmp_path, SHORT_TIMEOUT_WORKER, "--keep-alive", "5") as server:
        server.time_request()
        (worker,) = server.workers()
        limit = max(int(path.name) for path in Path(f"/proc/{worker}/fd").iterdir()) + 10
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (limit, limit))
        with ExitStack() as stack:
            waiting = [stack.enter_context(server.connect()) for _ in range(3 * limit)]
            assert max(server.time_request() for _ in range(5)) < 1
            assert receive_all(waiting[0]) == b""
            cpu_before = cpu_seconds(worker)
            gevent.sleep(0.5)
            assert cpu_seconds(worker) - cpu_before < 0.25
        assert server.has_logged("No file descriptors are left")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
