"""Clients that call the service continuously and record all failures."""

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

#: Three of four calls look up one of this many ids, whose covers are soon cached.
CACHED_IDS = 20
CALLS_PER_CONNECTION = 25

#: New ids, for every fourth call.
_new_ids = itertools.count(1000)


def cover_with_number_of_item(connection: socket.socket, request: Request) -> None:
    """Respond, as the origin, with a product page whose cover has the number of the item."""
    cover(int(request.target.rpartition("/")[2]))(connection, request)


class _TransportWithoutRetries(xmlrpc.client.SafeTransport):
    """xmlrpc's transport over TLS, without its retry after a persistent connection was closed."""

    def request(self, *arguments: Any, **options: Any) -> Any:
        """Send the request once."""
        return self.single_request(*arguments, **options)


@dataclass(slots=True)
class LoadClients:
    """Clients of a service at ``url``, whose covers are those of ``origin``.

    With ``tls_context`` they send each call once: a proxy with TLS must not lose any. Without it they use xmlrpc's own
    transport, which retries a call after a persistent connection was closed.
    """

    url: str
    origin: Origin
    tls_context: ssl.SSLContext | None = None
    responses: int = 0
    #: Failed calls and wrong results.
    errors: list[str] = field(default_factory=list)
    is_stopped: bool = False

    def wait_for_calls(self, count: int) -> None:
        """Wait until ``count`` more calls have returned or failed."""
        total = self.responses + len(self.errors) + count
        wait_until(lambda: self.responses + len(self.errors) >= total, f"{count} more calls have returned", 20)

    def send_calls(self, first: int) -> None:
        """Call for ids, beginning with the cached id ``first``, until ``is_stopped`` is set."""
        cached = itertools.islice(itertools.cycle(range(CACHED_IDS)), first, None)
        while not self.is_stopped:
            transport = None if self.tls_context is None else _TransportWithoutRetries(context=self.tls_context)
            with xmlrpc.client.ServerProxy(self.url, transport) as client:
                for number in range(CALLS_PER_CONNECTION):
                    if not self.is_stopped:
                        self._call(client, next(_new_ids if number % 4 == 3 else cached))

    def _call(self, client: Any, item: int) -> None:
        try:
            url = client.get_cover(item)
        except Exception as error:  # noqa: BLE001 - every failure counts
            self.errors.append(f"{item}: {error!r}")
        else:
            self.responses += 1
            if url != self.origin.url + COVER_PATH.format(number=item):
                self.errors.append(f"{item}: {url}")
        gevent.sleep(0.01)  # limits the load, so that the servers get CPU time


@contextmanager
def run_clients(
    url: str, origin: Origin, tls_context: ssl.SSLContext | None = None, *, count: int = 8
) -> Iterator[LoadClients]:
    """Run ``count`` clients until the block ends."""
    clients = LoadClients(url, origin, tls_context)
    greenlets = [gevent.spawn(clients.send_calls, number) for number in range(count)]
    try:
        yield clients
    finally:
        clients.is_stopped = True
        gevent.joinall(greenlets)
