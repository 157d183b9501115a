"""Clients outside the load: they check results, and keep calls waiting while memory is measured."""

import socket
import xmlrpc.client
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

_THREADS = 32

#: Longer than any response takes.
_TIMEOUT_SECONDS = 10.0


class WrongResult(Exception):
    """A result of ``get_cover`` that is not the URL of the cover."""


class _Transport(xmlrpc.client.Transport):
    """A transport whose connections have a timeout."""

    def make_connection(self, host: Any) -> Any:
        """Return a connection with a timeout."""
        connection = super().make_connection(host)
        connection.timeout = _TIMEOUT_SECONDS
        return connection


def check_covers(address: str, origin: str, ids: Sequence[int]) -> None:
    """Call ``get_cover`` for these ids at the server ``address``, several at once, and check the results.

    Raises:
        WrongResult: a result is wrong.

    """

    def check(some: Sequence[int]) -> None:
        with xmlrpc.client.ServerProxy(f"{address}/RPC2", transport=_Transport()) as server:
            for content_id in some:
                result, expected = server.get_cover(content_id), f"{origin}/multimedia/audio_cd_covers/{content_id}.jpg"
                if result != expected:
                    raise WrongResult(f"{content_id}: expected {expected!r}, got {result!r}")

    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(check, (ids[first::_THREADS] for first in range(_THREADS))):
            pass


@contextmanager
def waiting_calls(port: int, ids: Sequence[int]) -> Iterator[None]:
    """Send a call for each id over a connection of its own, and keep the connections open until the block ends."""
    with ExitStack() as stack:
        for content_id in ids:
            body = xmlrpc.client.dumps((content_id,), "get_cover").encode()
            head = (
                f"POST /RPC2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n"
            )
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS))
            connection.sendall(head.encode() + b"\r\n" + body)
        yield
