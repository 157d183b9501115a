"""Callers who ask on and on, as clients of the service do, and take note of whatever goes wrong."""

import itertools
import socket
import ssl
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gevent

from tests.server.gunicorn_server import wait_until
from tests.support.scripted_origin import COVER_PATH, Origin, Request, cover

KNOWN = 20
CALLS_OF_A_CONNECTION = 25

#: Ids that nobody has asked for yet.
_new_ids = itertools.count(1000)


def any_item(connection: socket.socket, request: Request) -> None:
    """Be the page of whatever item they ask for: its cover has the item's number."""
    cover(int(request.target.rpartition("/")[2]))(connection, request)


class _Once(xmlrpc.client.SafeTransport):
    """Python's transport over TLS, which would ask again on a new connection if the old one broke."""

    def request(self, *arguments: Any, **options: Any) -> Any:
        """Ask."""
        return self.single_request(*arguments, **options)


@dataclass(slots=True)
class Callers:
    """Callers of a service at ``url``, whose covers are those of ``origin``.

    Over TLS, which a proxy speaks that never leaves, they ask just once; else as Python does, which asks again where a
    connection has ended that was kept.
    """

    url: str
    origin: Origin
    trust: ssl.SSLContext | None = None
    answers: int = 0
    #: What went wrong, and what was answered wrongly.
    errors: list[str] = field(default_factory=list)
    is_over: bool = False

    def get(self, answers: int) -> None:
        """Wait until so many more answers, or errors, have come."""
        enough = self.answers + len(self.errors) + answers
        wait_until(lambda: self.answers + len(self.errors) >= enough, f"{answers} more answers have come", 20)

    def call_on_and_on(self, first: int) -> None:
        """Ask for ids of which one in four is new, beginning with ``first``, till it is over."""
        known = itertools.islice(itertools.cycle(range(KNOWN)), first, None)
        while not self.is_over:
            transport = None if self.trust is None else _Once(context=self.trust)
            with xmlrpc.client.ServerProxy(self.url, transport) as client:
                for number in range(CALLS_OF_A_CONNECTION):
                    if not self.is_over:
                        self._call(client, next(_new_ids if number % 4 == 3 else known))

    def _call(self, client: Any, item: int) -> None:
        try:
            answer = client.get_cover(item)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
            self.errors.append(f"{item}: {error!r}")
        else:
            self.answers += 1
            if answer != self.origin.url + COVER_PATH.format(number=item):
                self.errors.append(f"{item}: {answer}")
        gevent.sleep(0.01)  # or they would have a processor for themselves


@contextmanager
def calling(url: str, origin: Origin, trust: ssl.SSLContext | None = None, *, count: int = 8) -> Iterator[Callers]:
    """Have callers ask while the block runs."""
    callers = Callers(url, origin, trust)
    asking = [gevent.spawn(callers.call_on_and_on, number) for number in range(count)]
    try:
        yield callers
    finally:
        callers.is_over = True
        gevent.joinall(asking)
