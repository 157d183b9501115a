"""The reuse of responses: for which requests, for how long, and under which conditions."""

import email.utils
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import gevent
import pytest

from app.server.response_cache import CachedResponse, ResponseCache
from tests.server.gunicorn_server import OUR_WORKER, GunicornServer, Response, receive_response, request, run_gunicorn

NUMBERS = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    """A server with one worker, without access log and hooks."""
    with run_gunicorn(tmp_path_factory.mktemp("server"), OUR_WORKER) as running:
        yield running


def response_body(server: GunicornServer, data: bytes, source: str = "127.0.0.1") -> bytes:
    """Send a request on a new connection and return the body. At /cacheable, the body is different for each call."""
    with server.connect(source) as connection:
        connection.sendall(data)
        return receive_response(connection).body


def field_values(responses: list[Response], name: str) -> list[str]:
    """Return the values of a field in these responses."""
    beginning = f"{name}: ".lower()
    lines = [line for response in responses for line in response.headers if line.lower().startswith(beginning)]
    return [line.partition(": ")[2] for line in lines]


def with_cached_head(server: GunicornServer, path: str) -> bytes:
    """Return a request with a new body. It has been sent once, so that its head is cached."""
    data = request(path, b"%d" % next(NUMBERS))
    response_body(server, data)
    return data


def test_a_response_is_reused_for_the_same_bytes_on_any_connection(server: GunicornServer) -> None:
    data = with_cached_head(server, "/cacheable")
    assert len({response_body(server, data) for _ in range(3)}) == 1


def test_a_response_is_not_reused_for_other_bytes(server: GunicornServer) -> None:
    data = with_cached_head(server, "/cacheable")
    other_head = data.replace(b"Host: server", b"Host: Server")
    other_body = data[:-1] + bytes([data[-1] ^ 1])
    assert len({response_body(server, sent) for sent in (data, other_head, other_body)}) == 3


def test_a_response_is_reused_while_it_is_valid(server: GunicornServer) -> None:
    data = with_cached_head(server, "/cacheable?2")
    first, *others = [response_body(server, data) for _ in range(6)]
    assert others[:2] == [first] * 2
    assert len({first, *others}) == 2
    assert others[2:5] == [others[2]] * 3


def test_one_field_has_a_new_value_each_time(server: GunicornServer) -> None:
    """Each response has the field once, and the responses differ in nothing else."""
    data, responses = with_cached_head(server, "/cacheable?9"), list[Response]()
    with server.connect() as connection:
        for _ in range(4):
            connection.sendall(data)
            responses.append(receive_response(connection))
    assert field_values(responses, "X-Time") == ["1", "2", "3", "4"]
    others = {
        tuple(line for line in response.headers if not line.lower().startswith("x-time")) for response in responses
    }
    assert len(others) == 1
    assert len({response.body for response in responses}) == 1


def test_a_response_is_not_reused_by_default(server: GunicornServer) -> None:
    data = with_cached_head(server, "/count")
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(data)
            assert receive_response(connection).body == str(len(data.partition(b"\r\n\r\n")[2])).encode()


def test_a_response_in_two_pieces_is_not_reused(server: GunicornServer) -> None:
    data = with_cached_head(server, "/cacheable-in-two")
    assert len({response_body(server, data) for _ in range(3)}) == 3


def test_a_response_is_not_reused_if_the_application_fails_after_it(server: GunicornServer) -> None:
    """The application is called each time, so each failure is logged."""
    data = with_cached_head(server, "/cacheable-failing")
    assert len({response_body(server, data) for _ in range(3)}) == 3


def test_trusted_clients_have_a_cache_of_their_own(server: GunicornServer) -> None:
    """Forwarding fields have no effect in a request from an untrusted client, so the response may differ."""
    data = with_cached_head(server, "/cacheable")
    trusted = response_body(server, data)
    response_body(server, data, "127.0.0.2")
    untrusted = response_body(server, data, "127.0.0.2")
    assert untrusted != trusted
    assert response_body(server, data) == trusted
    assert response_body(server, data, "127.0.0.2") == untrusted


def test_pipelined_requests_are_served_in_order(server: GunicornServer) -> None:
    """Responses are reused at any position of the pipeline."""
    data, other = with_cached_head(server, "/cacheable"), request("/count", b"12345")
    expected = response_body(server, data)
    responses = server.exchange(data + data + other + data)
    assert [response.body for response in responses] == [expected, expected, b"5", expected]


def test_head_and_body_may_arrive_apart(server: GunicornServer) -> None:
    """Many clients send the head and the body separately."""
    data = with_cached_head(server, "/cacheable")
    expected = response_body(server, data)
    with server.connect() as connection:
        for cut in (len(data) - 1, data.index(b"\r\n\r\n") + 4):
            connection.sendall(data[:cut])
            gevent.sleep(0.01)
            connection.sendall(data[cut:])
            assert receive_response(connection).body == expected


def test_a_response_is_not_reused_if_its_validity_check_raises(server: GunicornServer) -> None:
    data = with_cached_head(server, "/cacheable-raising")
    assert len({response_body(server, data) for _ in range(3)}) == 3
    assert server.has_logged("Error checking whether a cached response is valid")


def test_a_reused_response_has_the_current_date(server: GunicornServer) -> None:
    data = with_cached_head(server, "/cacheable")
    response_body(server, data)
    with server.connect() as connection:
        connection.sendall(data)
        received = connection.recv(65_536).decode()
    line = next(line for line in received.splitlines() if line.startswith("Date: "))
    date = email.utils.parsedate_to_datetime(line.removeprefix("Date: "))
    assert abs(date.timestamp() - time.time()) < 2


REPORTING_OPTIONS = [
    ("--access-logfile", "-"),
    ("--log-level", "debug"),
    ("--statsd-host", "127.0.0.1:9"),
    ("--logger-class", "app.telemetry.logs.Logger", "--access-logfile", "-"),
    ("--logger-class", "app.telemetry.logs.Logger", "--statsd-host", "127.0.0.1:9"),
]


@pytest.mark.parametrize("option", REPORTING_OPTIONS)
def test_responses_are_not_reused_where_each_request_is_reported(tmp_path: Path, option: tuple[str, ...]) -> None:
    with run_gunicorn(tmp_path, OUR_WORKER, *option) as server:
        data = with_cached_head(server, "/cacheable")
        assert len({response_body(server, data) for _ in range(3)}) == 3


def test_the_logger_of_the_service_does_not_prevent_reuse(tmp_path: Path) -> None:
    with run_gunicorn(tmp_path, OUR_WORKER, "--logger-class", "app.telemetry.logs.Logger") as server:
        data = with_cached_head(server, "/cacheable")
        assert len({response_body(server, data) for _ in range(3)}) == 1


def test_hooks_are_called_for_each_request(tmp_path: Path) -> None:
    with run_gunicorn(tmp_path, OUR_WORKER, "-c", str(Path(__file__).with_name("hooks.py"))) as server:
        data = with_cached_head(server, "/cacheable")
        assert len({response_body(server, data) for _ in range(3)}) == 3
        server.process.terminate()
        server.process.wait(20)
        assert server.log.read_text("utf-8").count("done POST /cacheable") == 4


def test_reused_responses_count_towards_max_requests(tmp_path: Path) -> None:
    """The last response has "Connection: close", and the connection is closed."""
    with run_gunicorn(tmp_path, OUR_WORKER, "--max-requests", "6") as server:
        responses = []
        with server.connect() as connection:
            for _ in range(6):
                connection.sendall(request("/cacheable", b"1"))
                responses.append(receive_response(connection))
            assert connection.recv(1) == b""
    assert ["Connection: close" in response.headers for response in responses] == [False] * 5 + [True]
    assert {response.body for response in responses[1:]} == {b"call 2"}


def test_the_cache_is_bounded_by_bytes() -> None:
    """The oldest response is evicted first."""
    cache = ResponseCache(3000)
    for number in range(5):
        for _ in range(2):
            cache.put(b"%d" % number, CachedResponse(b"before", b"", b"behind", bytes))
    assert [cache.get(b"%d" % number) is not None for number in range(5)] == [False, False, True, True, True]
    cache.put(b"long" * 1000, CachedResponse(b"", b"", b"", bytes))
    assert len(cache) == 0
    for number in range(100):
        cache.put(b"%d" % number, CachedResponse(b"", b"", b"", bytes))
        cache.drop(b"%d" % number)
    cache.put(b"1", CachedResponse(b"before", b"", b"behind", bytes))
    assert len(cache) == 1
