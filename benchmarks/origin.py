"""The origin of all benchmarked servers: pages of 50 kB over persistent connections, each sent after a fixed delay.

Run by ``python -m benchmarks.origin SOCKET DELAY``: the descriptor of a listening socket, and seconds.
``GET /page-requests`` returns the number of page requests so far. Requests for ids from ``FIRST_UNANSWERED`` on never
get a response.
"""

import asyncio
import socket
import sys

from benchmarks.ids import FIRST_UNANSWERED

PAGE_SIZE = 50_000

#: In the middle of the page, followed by the id and the extension: the extraction rule matches this.
_COVER = b'<div class="product"><img class="cover" src="/multimedia/audio_cd_covers/'
_BEGINNING = b"<!DOCTYPE html>\n<html><head><title>Records</title></head>\n<body>\n"
_ITEM = (
    b'<p class="item"><a href="/context/detail/id/1004711/"><img src="/multimedia/books_covers/1004711.jpg"></a></p>\n'
)
_END = b"</body></html>\n"
_ID_SIZE = 10

_BACKLOG = 2048

_HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
    b'Content-Type: text/html; charset=utf-8\r\nETag: "4f1d"\r\nContent-Length: %d\r\n\r\n'
)


def page_parts() -> tuple[bytes, bytes]:
    """Return the parts of a page before and after the id."""
    before = (_BEGINNING + _ITEM * PAGE_SIZE)[: PAGE_SIZE // 2] + _COVER
    after = b'.jpg"></div>\n' + _ITEM * PAGE_SIZE
    return before, after[: PAGE_SIZE - len(before) - _ID_SIZE - len(_END)] + _END


class Origin:
    """What the connections share: the parts of a response before and after the id, the delay and a request count."""

    def __init__(self, delay: float) -> None:
        before, self.after = page_parts()
        self.before = _HEAD % PAGE_SIZE + before
        self.delay = delay
        self.page_requests = 0


class Connection(asyncio.Protocol):
    """A connection. Responses are in the order of the requests, because all have the same delay."""

    def __init__(self, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        self._origin = origin
        self._loop = loop
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - true for streams
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Handle all complete requests."""
        *heads, self._received = (self._received + data).split(b"\r\n\r\n")
        for head in heads:
            if head.startswith(b"GET /page-requests "):
                text = b"%d" % self._origin.page_requests
                self._transport.write(_HEAD % len(text) + text)
            else:
                self._origin.page_requests += 1
                content_id = head[: head.index(b" HTTP/")].rpartition(b"/")[2]
                if int(content_id) < FIRST_UNANSWERED:
                    self._loop.call_later(self._origin.delay, self._respond, content_id, head)

    def _respond(self, content_id: bytes, head: bytes) -> None:
        self._transport.write(b"".join((self._origin.before, content_id, self._origin.after)))
        if b"connection: close" in head.lower():
            self._transport.close()


async def _serve(listener: socket.socket, delay: float) -> None:
    origin, loop = Origin(delay), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(origin, loop), sock=listener, backlog=_BACKLOG)
    await server.serve_forever()


def main() -> None:
    """Serve until the process is terminated."""
    descriptor, delay = sys.argv[1:]
    asyncio.run(_serve(socket.socket(fileno=int(descriptor)), float(delay)))


if __name__ == "__main__":
    main()
