"""Callers that are no load: those that look whether answers are right, and those that wait."""

import socket
import xmlrpc.client
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

_CALLERS = 32


#: No answer takes so many seconds.
_PATIENCE_SECONDS = 10.0


class WrongAnswer(Exception):
    """An answer that is not the cover."""


class _Transport(xmlrpc.client.Transport):
    """A transport that does not wait for ever."""

    def make_connection(self, host: Any) -> Any:
        """Return a connection with a timeout."""
        connection = super().make_connection(host)
        connection.timeout = _PATIENCE_SECONDS
        return connection


def check(address: str, shop: str, ids: Sequence[int]) -> None:
    """Ask a server for these ids by ``xmlrpc.client``, several at once, and look whether the answers are right.

    Raises:
        WrongAnswer: one is not.

    """

    def ask(some: Sequence[int]) -> None:
        with xmlrpc.client.ServerProxy(f"{address}/RPC2", transport=_Transport()) as server:
            for content_id in some:
                answer, right = server.get_cover(content_id), f"{shop}/multimedia/audio_cd_covers/{content_id}.jpg"
                if answer != right:
                    raise WrongAnswer(f"{content_id}: {answer!r}, not {right!r}")

    with ThreadPoolExecutor(_CALLERS) as callers:
        for _ in callers.map(ask, (ids[first::_CALLERS] for first in range(_CALLERS))):
            pass


@contextmanager
def waiting(port: int, ids: Sequence[int]) -> Iterator[None]:
    """Have a connection for each id wait for its answer until the block ends."""
    with ExitStack() as stack:
        for content_id in ids:
            body = xmlrpc.client.dumps((content_id,), "get_cover").encode()
            head = (
                f"POST /RPC2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n"
            )
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS))
            connection.sendall(head.encode() + b"\r\n" + body)
        yield
