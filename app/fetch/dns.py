"""DNS lookups that block neither the hub nor each other.

The C library's resolver blocks, so it runs in threads. It has its own thread pool. gevent's pool has ten threads for
all work that this process runs in threads, so ten names whose name servers do not respond would block that pool for
half a minute.
"""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import gevent
from gevent import monkey
from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool

from app.concurrency.greenlets import run_in_thread
from app.domain.errors import Overloaded

#: The address family, and the address as ``socket.connect`` takes it.
SocketAddress = tuple[int, tuple[Any, ...]]
Resolve = Callable[[str, int], list[SocketAddress]]

_MAX_THREADS = 32

#: How long a lookup waits for a free thread, in seconds. The wait must end before the timeout of a page,
#: because such a timeout counts as a failure of the host.
_MAX_WAIT = 1.0

#: The maximum number of concurrent lookups of names below one domain. Without this limit, a client that can choose host
#: names could occupy all threads with names whose name servers do not respond. Such a lookup takes half a minute, even
#: if all its callers have timed out.
_MAX_LOOKUPS_PER_DOMAIN = 8


def resolve(host: str, port: int) -> list[SocketAddress]:
    """Resolve a host name with the C library, and return its addresses. Blocks the thread. Raises OSError."""
    getaddrinfo = monkey.get_original("socket", "getaddrinfo")  # the patched function would use gevent's thread pool
    try:
        results = getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "invalid host name") from error
    return [(family, address) for family, _, _, _, address in results]


class DnsResolver:
    """Resolves host names in its own threads. Concurrent calls for the same host and port share one lookup."""

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._threads = ThreadPool(_MAX_THREADS)
        self._free_threads = BoundedSemaphore(_MAX_THREADS)
        self._in_flight: dict[tuple[str, int], gevent.Greenlet[..., list[SocketAddress] | OSError | Overloaded]] = {}

    def resolve(self, host: str, port: int) -> list[SocketAddress]:
        """Return the addresses of ``host``, a name or an IP address, in the order in which to try them.

        Raises:
            OSError: the name does not exist, or the lookup failed.
            Overloaded: this process is looking up too many other names.

        """
        literal = _parse_literal(host, port)
        if literal is not None:
            return [literal]
        key = (host, port)
        lookup = self._in_flight.get(key)
        if lookup is None:
            domain = _parent_domain(host)
            lookups = sum(_parent_domain(other) == domain for other, _ in self._in_flight)
            if lookups >= _MAX_LOOKUPS_PER_DOMAIN:
                raise Overloaded(f"too many DNS lookups below {domain} are in progress")
            # The lookup has its own greenlet, so the lookup continues for the other callers if the first one times out.
            lookup = self._in_flight[key] = gevent.spawn(self._look_up, key)
        result = lookup.get()
        if isinstance(result, Exception):
            raise type(result)(*result.args) from result  # a new exception for each caller, with its own traceback
        return result

    def _look_up(self, key: tuple[str, int]) -> list[SocketAddress] | OSError | Overloaded:
        try:
            if not self._free_threads.acquire(timeout=_MAX_WAIT):
                return Overloaded(f"too many DNS lookups are in progress: the lookup of {key[0]} has not begun")
            try:
                addresses: list[SocketAddress] = run_in_thread(lambda: self._resolve(*key), self._threads)
            except OSError as error:
                return error  # returned, because gevent prints exceptions that a greenlet raises
            else:
                return addresses
            finally:
                self._free_threads.release()
        finally:
            del self._in_flight[key]


def _parent_domain(host: str) -> str:
    """Return the last two labels of a host name, which approximate the registered domain."""
    return ".".join(host.rsplit(".", 2)[-2:])


def _parse_literal(host: str, port: int) -> SocketAddress | None:
    """Return the address that an IP literal stands for, or None for a name."""
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv4Address):
        return socket.AF_INET, (host, port)
    # A scope id is the name of a network interface. The C library has to resolve it.
    return (socket.AF_INET6, (host, port, 0, 0)) if parsed.scope_id is None else None
