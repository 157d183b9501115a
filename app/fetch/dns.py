"""The look-up of names, which hangs neither the hub nor one another.

The C library's resolver blocks, so it runs in threads: of our own, because gevent's ten are shared by all that is done
in threads here, and ten names that no server answers for would hold up all of it for half a minute.
"""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import gevent
from gevent import monkey
from gevent.threadpool import ThreadPool

from app.concurrency.greenlets import run_in_thread

#: Where to connect to: the family of the address, and the address as ``connect`` takes it.
SocketAddress = tuple[int, tuple[Any, ...]]
Resolve = Callable[[str, int], list[SocketAddress]]

_THREADS = 32

#: So many names below one domain are looked up at once. Who may name hosts there could fill all threads with names that
#: no server answers for, each for half a minute, whether anybody waits for them still or not.
_SAME_DOMAIN = 8


def resolve(host: str, port: int) -> list[SocketAddress]:
    """Ask the C library for the addresses of a name; this blocks. Raises OSError."""
    look_up = monkey.get_original("socket", "getaddrinfo")  # the patched one would go to gevent's own threads
    try:
        found = look_up(host, port, 0, socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "this cannot be a name") from error
    return [(family, address) for family, _, _, _, address in found]


class DnsResolver:
    """Turns hosts into addresses, in threads of its own; those who ask for one name at one time share the look-up."""

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._threads = ThreadPool(_THREADS)
        self._under_way: dict[tuple[str, int], gevent.Greenlet[..., list[SocketAddress] | OSError]] = {}

    def resolve(self, host: str, port: int) -> list[SocketAddress]:
        """Return where ``host``, a name or an IP address, can be reached, in the order in which to try.

        Raises:
            OSError: the name is not known, or nobody could tell.

        """
        literal = _literal(host, port)
        if literal is not None:
            return [literal]
        key = (host, port)
        look_up = self._under_way.get(key)
        if look_up is None:
            domain = _domain(host)
            if sum(_domain(other) == domain for other, _ in self._under_way) >= _SAME_DOMAIN:
                raise socket.gaierror(socket.EAI_AGAIN, f"too many names below {domain} are being looked up")
            # In a greenlet of its own, so that who asked first may give up without the others.
            look_up = self._under_way[key] = gevent.spawn(self._look_up, key)
        found = look_up.get()
        if isinstance(found, OSError):
            raise type(found)(*found.args) from found  # each who waited has a traceback of their own
        return found

    def _look_up(self, key: tuple[str, int]) -> list[SocketAddress] | OSError:
        try:
            found: list[SocketAddress] = run_in_thread(lambda: self._resolve(*key), self._threads)
        except OSError as error:
            return error  # and not raised: gevent would print it
        else:
            return found
        finally:
            del self._under_way[key]


def _domain(host: str) -> str:
    return ".".join(host.rsplit(".", 2)[-2:])


def _literal(host: str, port: int) -> SocketAddress | None:
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv4Address):
        return socket.AF_INET, (host, port)
    # A scope is the name of an interface: that is the C library's to look up.
    return (socket.AF_INET6, (host, port, 0, 0)) if parsed.scope_id is None else None
