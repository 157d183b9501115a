"""Which addresses are dialled, and which connections are kept."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import gevent
import gevent.event
import pytest
from requests import ConnectionError as NoConnectionError
from requests import PreparedRequest
from requests.exceptions import InvalidURL, Timeout

from app.fetch import connection_pool as module
from app.fetch.connection_pool import _MAX_IDLE, ConnectionPool
from app.fetch.dns import DnsResolver, SocketAddress
from app.fetch.transport import TransportAdapter
from tests.support.clock import ManualClock
from tests.support.scripted_origin import Barrier, Behaviour, Origin, one_after_the_other, page, raw, reset

Dial = Callable[..., ConnectionPool]


def get(connections: ConnectionPool, url: str, *, private_network: bool = True, timeout: float = 5) -> bytes:
    request = PreparedRequest()
    request.prepare(method="GET", url=url)
    transport = TransportAdapter(pool=connections, max_bytes=100_000, private_network=private_network)
    body: bytes = transport.send(request, stream=True, timeout=timeout).raw.read()
    return body


@pytest.fixture
def dialling(trusting: ssl.SSLContext) -> Iterator[Dial]:
    """Make connections whose names resolve as the test says."""
    with ExitStack() as stack:

        def make(*answers: list[str], clock: ManualClock | None = None) -> ConnectionPool:
            left = list(answers)

            def resolve(_host: str, port: int) -> list[SocketAddress]:
                return [(socket.AF_INET, (address, port)) for address in left.pop(0)]

            made = ConnectionPool(context=trusting, resolver=DnsResolver(resolve), clock=clock or ManualClock())
            stack.callback(made.close)
            return made

        yield make


@contextmanager
def black_hole(port: int) -> Iterator[None]:
    """Let 127.0.0.2 answer no one at this port: its backlog is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.2", port), backlog=0))
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        gevent.sleep(0.01)
        yield


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]", "[::7f00:1]"],
)
def test_no_form_of_a_private_address_is_dialled(site: Origin, connections: ConnectionPool, host: str) -> None:
    url = f"{site.scheme}://{host}:{site.port}/"
    with pytest.raises(InvalidURL, match="it has a private address, which private_network does not allow"):
        get(connections, url, private_network=False)
    gevent.sleep(0)
    assert site.connections == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "255.255.255.255"])
def test_a_name_that_resolves_to_a_private_address_is_not_dialled(site: Origin, dialling: Dial, address: str) -> None:
    with pytest.raises(InvalidURL, match="a private address"):
        get(dialling([address]), f"{site.scheme}://shop.example:{site.port}/", private_network=False)


def test_a_name_that_resolves_to_a_private_address_the_second_time_is_not_dialled(
    site: Origin, dialling: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked up once for each connection, and what was looked up is what is connected to."""
    monkeypatch.setattr(module, "is_public_address", lambda address: address == "127.0.0.1")
    site.pages["/"] = page("there", headers={"Connection": "close"})
    connections = dialling(["127.0.0.1"], ["127.0.0.2"])
    url = f"{site.scheme}://localhost:{site.port}/"
    assert get(connections, url, private_network=False) == b"there"
    with pytest.raises(InvalidURL, match="a private address"):
        get(connections, url, private_network=False)


def test_of_several_addresses_the_private_ones_are_passed_over(
    site: Origin, dialling: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "is_public_address", lambda address: address == "127.0.0.1")
    site.pages["/"] = page("there")
    connections = dialling(["127.0.0.2", "127.0.0.1", "127.0.0.3"])
    assert get(connections, f"{site.scheme}://localhost:{site.port}/", private_network=False) == b"there"


def test_a_connection_to_a_private_address_is_not_kept_for_those_who_may_not_have_one(
    site: Origin, connections: ConnectionPool
) -> None:
    site.pages["/"] = page("there")
    assert get(connections, f"{site.url}/") == b"there"
    with pytest.raises(InvalidURL, match="a private address"):
        get(connections, f"{site.url}/", private_network=False)


def test_addresses_are_tried_one_after_the_other(site: Origin, dialling: Dial) -> None:
    site.pages["/"] = page("there")
    connections = dialling(["127.0.0.3", "127.0.0.4", "127.0.0.1"])
    assert get(connections, f"{site.scheme}://localhost:{site.port}/") == b"there"


def test_a_black_hole_does_not_eat_the_time_of_the_next_address(site: Origin, dialling: Dial) -> None:
    site.pages["/"] = page("there")
    url = f"{site.scheme}://localhost:{site.port}/"
    with black_hole(site.port):
        assert get(dialling(["127.0.0.2", "127.0.0.1"]), url, timeout=1) == b"there"
        with pytest.raises(Timeout, match="the connection timed out"):
            get(dialling(["127.0.0.2", "127.0.0.2"]), url, timeout=0.1)


def test_a_failure_is_that_of_the_last_address(site: Origin, dialling: Dial) -> None:
    with pytest.raises(NoConnectionError, match=r"^Connection refused$"):
        get(dialling(["127.0.0.2", "127.0.0.3"]), f"{site.scheme}://localhost:{site.port}/")


def test_connections_are_kept(site: Origin, connections: ConnectionPool) -> None:
    site.pages["/"] = page("there")
    for _ in range(5):
        assert get(connections, f"{site.url}/") == b"there"
    assert site.connections == 1


def test_a_kept_connection_is_for_its_own_scheme_host_and_port(site: Origin, connections: ConnectionPool) -> None:
    site.pages["/"] = page("there")
    assert get(connections, f"{site.url}/") == b"there"
    assert get(connections, f"{site.scheme}://localhost:{site.port}/") == b"there"
    assert site.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        page("there", headers={"Connection": "close"}),
        raw(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nthere"),
    ],
    ids=["close", "HTTP/1.0"],
)
def test_a_connection_is_not_kept(site: Origin, connections: ConnectionPool, answer: Behaviour) -> None:
    site.pages["/"] = answer
    for _ in range(2):
        assert get(connections, f"{site.url}/") == b"there"
    assert site.connections == 2


def test_a_connection_on_which_something_came_meanwhile_is_not_used(site: Origin, connections: ConnectionPool) -> None:
    """It would be taken for the answer to the next request."""
    go, has_gone = gevent.event.Event(), gevent.event.Event()

    def add_later(connection: socket.socket, _request: object) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere")
        go.wait()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
        has_gone.set()

    site.pages["/"] = one_after_the_other(add_later, page("there"))
    assert get(connections, f"{site.url}/") == b"there"
    go.set()
    assert has_gone.wait(5)
    assert get(connections, f"{site.url}/") == b"there"
    assert site.connections == 2


def test_a_connection_that_was_closed_meanwhile_is_not_used(site: Origin, connections: ConnectionPool) -> None:
    closed = gevent.event.Event()

    def close_later(connection: socket.socket, _request: object) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere")
        gevent.sleep(0.01)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    site.pages["/"] = close_later
    assert get(connections, f"{site.url}/") == b"there"
    closed.wait()
    assert get(connections, f"{site.url}/") == b"there"
    assert len(site.requests) == 2


@pytest.mark.parametrize("end", [raw(), reset], ids=["closed", "reset"])
def test_a_kept_connection_that_ends_before_it_answers_is_replaced_at_once(
    site: Origin, connections: ConnectionPool, end: Behaviour
) -> None:
    """Its peer may have closed it while the request was on its way."""
    site.pages["/"] = one_after_the_other(page("there"), end, page("again"))
    assert get(connections, f"{site.url}/") == b"there"
    assert get(connections, f"{site.url}/") == b"again"
    assert site.connections == 2


@pytest.mark.parametrize("end", [raw(), reset], ids=["closed", "reset"])
def test_a_new_connection_that_ends_before_it_answers_is_a_failure(
    site: Origin, connections: ConnectionPool, end: Behaviour
) -> None:
    site.pages["/"] = one_after_the_other(page("there"), end)
    assert get(connections, f"{site.url}/") == b"there"
    with pytest.raises(NoConnectionError, match=r"closed without a response|reset by peer"):
        get(connections, f"{site.url}/")
    assert len(site.requests) == 3


def test_a_kept_connection_that_ends_within_its_answer_is_a_failure(site: Origin, connections: ConnectionPool) -> None:
    site.pages["/"] = one_after_the_other(page("there"), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))
    assert get(connections, f"{site.url}/") == b"there"
    with pytest.raises(NoConnectionError, match="closed in the middle"):
        get(connections, f"{site.url}/")
    assert len(site.requests) == 2


def test_a_connection_is_kept_for_half_a_minute(site: Origin, dialling: Dial) -> None:
    clock = ManualClock()
    connections = dialling(clock=clock)
    site.pages["/"] = page("there")
    for seconds, expected in ((0, 1), (30, 1), (30.1, 2)):
        clock.now += seconds
        assert get(connections, f"{site.url}/") == b"there"
        assert site.connections == expected


def test_so_many_connections_are_kept_the_latest_first(site: Origin, connections: ConnectionPool) -> None:
    hold = Barrier(page("there"))
    site.pages["/"] = hold
    asking = [gevent.spawn(get, connections, f"{site.url}/") for _ in range(_MAX_IDLE + 1)]
    while len(site.requests) <= _MAX_IDLE:
        gevent.sleep(0.001)
    hold.go.set()
    gevent.joinall(asking, raise_error=True)
    assert len(connections._idle) == _MAX_IDLE
    latest = connections._idle[-1]
    assert get(connections, f"{site.url}/") == b"there"
    assert connections._idle[-1] is latest


def test_closing_leaves_none(site: Origin, connections: ConnectionPool) -> None:
    site.pages["/"] = page("there")
    get(connections, f"{site.url}/")
    connections.close()
    assert not connections._idle
