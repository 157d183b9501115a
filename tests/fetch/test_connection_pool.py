"""The connection pool: to which addresses it connects, and which connections it reuses."""

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
from tests.support.scripted_origin import Barrier, Behaviour, Origin, in_sequence, page, raw, reset

MakePool = Callable[..., ConnectionPool]


def get(pool: ConnectionPool, url: str, *, private_network: bool = True, timeout: float = 5) -> bytes:
    request = PreparedRequest()
    request.prepare(method="GET", url=url)
    transport = TransportAdapter(pool=pool, max_bytes=100_000, private_network=private_network)
    body: bytes = transport.send(request, stream=True, timeout=timeout).raw.read()
    return body


@pytest.fixture
def make_pool(client_context: ssl.SSLContext) -> Iterator[MakePool]:
    """Return a function that makes a pool. Each lookup resolves to the next of the given lists of addresses."""
    with ExitStack() as stack:

        def make(*results: list[str], clock: ManualClock | None = None) -> ConnectionPool:
            remaining = list(results)

            def resolve(_host: str, port: int) -> list[SocketAddress]:
                return [(socket.AF_INET, (address, port)) for address in remaining.pop(0)]

            new_pool = ConnectionPool(
                context=client_context, resolver=DnsResolver(resolve), clock=clock or ManualClock()
            )
            stack.callback(new_pool.close)
            return new_pool

        yield make


@contextmanager
def unresponsive_address(port: int) -> Iterator[None]:
    """Make connection attempts to this port of 127.0.0.2 hang, by filling its backlog."""
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
def test_no_notation_of_a_private_address_is_connected_to(site: Origin, pool: ConnectionPool, host: str) -> None:
    url = f"{site.scheme}://{host}:{site.port}/"
    with pytest.raises(InvalidURL, match="it has only addresses that are not public, and private_network is not set"):
        get(pool, url, private_network=False)
    gevent.sleep(0)
    assert site.connections == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "255.255.255.255"])
def test_a_name_that_resolves_to_a_private_address_is_not_connected_to(
    site: Origin, make_pool: MakePool, address: str
) -> None:
    with pytest.raises(InvalidURL, match="only addresses that are not public"):
        get(make_pool([address]), f"{site.scheme}://shop.example:{site.port}/", private_network=False)


def test_a_name_that_later_resolves_to_a_private_address_is_not_connected_to(
    site: Origin, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection resolves the name once, and is made to the address that was checked (DNS rebinding)."""
    monkeypatch.setattr(module, "is_public_address", lambda address: address == "127.0.0.1")
    site.pages["/"] = page("there", headers={"Connection": "close"})
    pool = make_pool(["127.0.0.1"], ["127.0.0.2"])
    url = f"{site.scheme}://localhost:{site.port}/"
    assert get(pool, url, private_network=False) == b"there"
    with pytest.raises(InvalidURL, match="only addresses that are not public"):
        get(pool, url, private_network=False)


def test_private_addresses_are_skipped(site: Origin, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_public_address", lambda address: address == "127.0.0.1")
    site.pages["/"] = page("there")
    pool = make_pool(["127.0.0.2", "127.0.0.1", "127.0.0.3"])
    assert get(pool, f"{site.scheme}://localhost:{site.port}/", private_network=False) == b"there"


def test_an_idle_connection_to_a_private_address_is_not_reused_without_private_network(
    site: Origin, pool: ConnectionPool
) -> None:
    site.pages["/"] = page("there")
    assert get(pool, f"{site.url}/") == b"there"
    with pytest.raises(InvalidURL, match="only addresses that are not public"):
        get(pool, f"{site.url}/", private_network=False)


def test_the_next_address_is_tried_after_a_failure(site: Origin, make_pool: MakePool) -> None:
    site.pages["/"] = page("there")
    pool = make_pool(["127.0.0.3", "127.0.0.4", "127.0.0.1"])
    assert get(pool, f"{site.scheme}://localhost:{site.port}/") == b"there"


def test_an_unresponsive_address_leaves_time_for_the_next_one(site: Origin, make_pool: MakePool) -> None:
    site.pages["/"] = page("there")
    url = f"{site.scheme}://localhost:{site.port}/"
    with unresponsive_address(site.port):
        assert get(make_pool(["127.0.0.2", "127.0.0.1"]), url, timeout=1) == b"there"
        with pytest.raises(Timeout, match="the connection timed out"):
            get(make_pool(["127.0.0.2", "127.0.0.2"]), url, timeout=0.1)


def test_the_error_is_that_of_the_last_address(site: Origin, make_pool: MakePool) -> None:
    with pytest.raises(NoConnectionError, match=r"^Connection refused$"):
        get(make_pool(["127.0.0.2", "127.0.0.3"]), f"{site.scheme}://localhost:{site.port}/")


def test_an_idle_connection_is_reused(site: Origin, pool: ConnectionPool) -> None:
    site.pages["/"] = page("there")
    for _ in range(5):
        assert get(pool, f"{site.url}/") == b"there"
    assert site.connections == 1


def test_a_connection_is_reused_for_the_same_scheme_host_and_port_only(site: Origin, pool: ConnectionPool) -> None:
    site.pages["/"] = page("there")
    assert get(pool, f"{site.url}/") == b"there"
    assert get(pool, f"{site.scheme}://localhost:{site.port}/") == b"there"
    assert site.connections == 2


@pytest.mark.parametrize(
    "response",
    [
        page("there", headers={"Connection": "close"}),
        raw(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nthere"),
    ],
    ids=["close", "HTTP/1.0"],
)
def test_a_connection_that_is_not_persistent_is_not_reused(
    site: Origin, pool: ConnectionPool, response: Behaviour
) -> None:
    site.pages["/"] = response
    for _ in range(2):
        assert get(pool, f"{site.url}/") == b"there"
    assert site.connections == 2


def test_an_idle_connection_with_unread_data_is_not_reused(site: Origin, pool: ConnectionPool) -> None:
    """The data would be taken for the response to the next request."""
    send_more, has_sent = gevent.event.Event(), gevent.event.Event()

    def respond_twice(connection: socket.socket, _request: object) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere")
        send_more.wait()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
        has_sent.set()

    site.pages["/"] = in_sequence(respond_twice, page("there"))
    assert get(pool, f"{site.url}/") == b"there"
    send_more.set()
    assert has_sent.wait(5)
    assert get(pool, f"{site.url}/") == b"there"
    assert site.connections == 2


def test_an_idle_connection_that_the_server_closed_is_not_reused(site: Origin, pool: ConnectionPool) -> None:
    closed = gevent.event.Event()

    def respond_and_close(connection: socket.socket, _request: object) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere")
        gevent.sleep(0.01)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    site.pages["/"] = respond_and_close
    assert get(pool, f"{site.url}/") == b"there"
    closed.wait()
    assert get(pool, f"{site.url}/") == b"there"
    assert len(site.requests) == 2


@pytest.mark.parametrize("end", [raw(), reset], ids=["closed", "reset"])
def test_a_reused_connection_that_ends_before_its_response_is_replaced(
    site: Origin, pool: ConnectionPool, end: Behaviour
) -> None:
    """The server may have closed it before the request arrived."""
    site.pages["/"] = in_sequence(page("there"), end, page("again"))
    assert get(pool, f"{site.url}/") == b"there"
    assert get(pool, f"{site.url}/") == b"again"
    assert site.connections == 2


@pytest.mark.parametrize("end", [raw(), reset], ids=["closed", "reset"])
def test_a_new_connection_that_ends_before_its_response_is_an_error(
    site: Origin, pool: ConnectionPool, end: Behaviour
) -> None:
    site.pages["/"] = in_sequence(page("there"), end)
    assert get(pool, f"{site.url}/") == b"there"
    with pytest.raises(NoConnectionError, match=r"closed without a response|reset by peer"):
        get(pool, f"{site.url}/")
    assert len(site.requests) == 3


def test_a_reused_connection_that_ends_within_its_response_is_an_error(site: Origin, pool: ConnectionPool) -> None:
    site.pages["/"] = in_sequence(page("there"), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))
    assert get(pool, f"{site.url}/") == b"there"
    with pytest.raises(NoConnectionError, match="closed in the middle"):
        get(pool, f"{site.url}/")
    assert len(site.requests) == 2


def test_an_idle_connection_is_kept_for_half_a_minute(site: Origin, make_pool: MakePool) -> None:
    clock = ManualClock()
    pool = make_pool(clock=clock)
    site.pages["/"] = page("there")
    for seconds, expected in ((0, 1), (30, 1), (30.1, 2)):
        clock.now += seconds
        assert get(pool, f"{site.url}/") == b"there"
        assert site.connections == expected


def test_the_number_of_idle_connections_is_limited_and_the_latest_is_reused_first(
    site: Origin, pool: ConnectionPool
) -> None:
    barrier = Barrier(page("there"))
    site.pages["/"] = barrier
    requests = [gevent.spawn(get, pool, f"{site.url}/") for _ in range(_MAX_IDLE + 1)]
    while len(site.requests) <= _MAX_IDLE:
        gevent.sleep(0.001)
    barrier.go.set()
    gevent.joinall(requests, raise_error=True)
    assert len(pool._idle) == _MAX_IDLE
    latest = pool._idle[-1]
    assert get(pool, f"{site.url}/") == b"there"
    assert pool._idle[-1] is latest


def test_close_closes_all_idle_connections(site: Origin, pool: ConnectionPool) -> None:
    site.pages["/"] = page("there")
    get(pool, f"{site.url}/")
    pool.close()
    assert not pool._idle
