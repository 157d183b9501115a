"""Who looks on sees the same as with gunicorn's own worker: hooks, statsd, the streams of errors."""

import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.server.gunicorn_server import OURS, STOCK, GunicornServer, codes, opened, request

BODY = b"<methodCall/>"
SAID = request("/echo", BODY) * 3 + request("/unread", BODY) + request("/fail?KeyError", BODY)


def lines(door: GunicornServer, beginning: str) -> list[str]:
    """Return what the log has from there on, of each line that has it."""
    return [line[line.index(beginning) :] for line in door.log.read_text("utf-8").splitlines() if beginning in line]


def test_hooks_see_each_request_and_may_change_it(tmp_path: Path) -> None:
    hooked = ("-c", str(Path(__file__).with_name("hooks.py")))
    with opened(tmp_path, STOCK, *hooked) as stock, opened(tmp_path, OURS, *hooked) as ours:
        expected, answers = stock.say(SAID), ours.say(SAID)
        assert codes(answers) == codes(expected) == [200, 200, 200, 404, 500]
        assert answers[:4] == expected[:4]
        assert [b"HTTP_X_HOOK: %d" % number in answers[number].body for number in range(3)] == [True] * 3
        *done, failed = lines(ours, "done ")
        assert done == lines(stock, "done ")[:4]
        assert failed == "done POST /fail 3 /fail 500 Internal Server Error"  # gunicorn's has no status yet


@pytest.mark.parametrize("worker", [STOCK, OURS])
def test_statsd_counts_each_request(tmp_path: Path, worker: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(10)
        with opened(tmp_path, worker, "--statsd-host", f"127.0.0.1:{statsd.getsockname()[1]}") as door:
            door.say(SAID)
            counted = Counter[str]()
            while counted["gunicorn.requests"] < 5:
                name, _, value = statsd.recv(1000).decode().partition(":")
                counted[name] += value.startswith("1|c")
    assert counted["gunicorn.request.status.200"] == 3
    assert counted["gunicorn.request.status.404"] == 1


def test_a_socket_in_the_file_system_is_served_too(tmp_path: Path) -> None:
    """Its peers have no addresses; nothing is remembered of them."""
    with opened(tmp_path, OURS, family=socket.AF_UNIX), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(tmp_path / "door.sock"))
        connection.sendall(request("/echo", BODY) * 2)
        connection.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert heard.count(b"HTTP/1.1 200 OK") == 2
    assert heard.count(b"SERVER_NAME: door") == 2


def test_the_proxy_protocol_names_the_peer_for_all_of_its_connection(tmp_path: Path) -> None:
    said = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 2222\r\n" + request("/echo", BODY) * 2
    option = ("--proxy-protocol", "v1")
    with opened(tmp_path, STOCK, *option) as stock, opened(tmp_path, OURS, *option) as ours:
        expected = stock.say(said)
        assert [b"REMOTE_ADDR: 192.0.2.1" in answer.body for answer in expected] == [True, True]
        assert ours.say(said) == expected
