"""gunicorn's hooks, statsd and Unix sockets work as with gunicorn's own worker."""

import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.server.gunicorn_server import (
    OUR_WORKER,
    STOCK_WORKER,
    GunicornServer,
    request,
    run_gunicorn,
    status_codes,
)

BODY = b"<methodCall/>"
REQUESTS = request("/echo", BODY) * 3 + request("/unread", BODY) + request("/fail?KeyError", BODY)


def logged(server: GunicornServer, text: str) -> list[str]:
    """Return the log lines that contain ``text``, without what precedes ``text``."""
    return [line[line.index(text) :] for line in server.log.read_text("utf-8").splitlines() if text in line]


def test_hooks_are_called_for_each_request_and_may_change_it(tmp_path: Path) -> None:
    hooks = ("-c", str(Path(__file__).with_name("hooks.py")))
    with run_gunicorn(tmp_path, STOCK_WORKER, *hooks) as stock, run_gunicorn(tmp_path, OUR_WORKER, *hooks) as ours:
        expected, responses = stock.exchange(REQUESTS), ours.exchange(REQUESTS)
        assert status_codes(responses) == status_codes(expected) == [200, 200, 200, 404, 500]
        assert responses[:4] == expected[:4]
        assert [b"HTTP_X_HOOK: %d" % number in responses[number].body for number in range(3)] == [True] * 3
        *done, failed = logged(ours, "done ")
        assert done == logged(stock, "done ")[:4]
        assert failed == "done POST /fail 3 /fail 500 Internal Server Error"  # gunicorn's worker has no status yet


@pytest.mark.parametrize("worker", [STOCK_WORKER, OUR_WORKER])
def test_statsd_counts_each_request(tmp_path: Path, worker: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(10)
        with run_gunicorn(tmp_path, worker, "--statsd-host", f"127.0.0.1:{statsd.getsockname()[1]}") as server:
            server.exchange(REQUESTS)
            counts = Counter[str]()
            while counts["gunicorn.requests"] < 5:
                name, _, value = statsd.recv(1000).decode().partition(":")
                counts[name] += value.startswith("1|c")
    assert counts["gunicorn.request.status.200"] == 3
    assert counts["gunicorn.request.status.404"] == 1


def test_a_unix_socket_is_served(tmp_path: Path) -> None:
    """Clients of a Unix socket have no addresses, so their heads are not cached."""
    with (
        run_gunicorn(tmp_path, OUR_WORKER, family=socket.AF_UNIX),
        socket.socket(socket.AF_UNIX) as connection,
    ):
        connection.connect(str(tmp_path / "server.sock"))
        connection.sendall(request("/echo", BODY) * 2)
        connection.shutdown(socket.SHUT_WR)
        data = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert data.count(b"SERVER_NAME: server") == 2
