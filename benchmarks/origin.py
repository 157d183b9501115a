"""The shop that all servers ask: pages of 50 kB, each some time after it was asked for, over kept connections.

Run by ``python -m benchmarks.origin SOCKET DELAY``: the descriptor of a listening socket, seconds. ``GET /asked``
answers how many pages were asked for; those of the ids from ``FIRST_HELD`` on never come.
"""

import asyncio
import socket
import sys

from benchmarks.ids import FIRST_HELD

SIZE = 50_000

#: The id stands behind it, and the extension follows: what the rule looks for, in the middle of the page.
_COVER = b'<div class="product"><img class="cover" src="/multimedia/audio_cd_covers/'
_BEGINNING = b"<!DOCTYPE html>\n<html><head><title>Records</title></head>\n<body>\n"
_ITEM = (
    b'<p class="item"><a href="/context/detail/id/1004711/"><img src="/multimedia/books_covers/1004711.jpg"></a></p>\n'
)
_END = b"</body></html>\n"
_ID_SIZE = 10

#: As many connections as may come at once.
_BACKLOG = 2048

_HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
    b'Content-Type: text/html; charset=utf-8\r\nETag: "4f1d"\r\nContent-Length: %d\r\n\r\n'
)


def page_around() -> tuple[bytes, bytes]:
    """Return what stands before and behind the id on a page."""
    before = (_BEGINNING + _ITEM * SIZE)[: SIZE // 2] + _COVER
    behind = b'.jpg"></div>\n' + _ITEM * SIZE
    return before, behind[: SIZE - len(before) - _ID_SIZE - len(_END)] + _END


class Shop:
    """What the conversations share: the answer around an id, how long it takes, how often it was asked for."""

    def __init__(self, delay: float) -> None:
        before, self.behind = page_around()
        self.before = _HEAD % SIZE + before
        self.delay = delay
        self.asked = 0


class Conversation(asyncio.Protocol):
    """A connection; requests are answered in their order, since all take the same time."""

    def __init__(self, shop: Shop, loop: asyncio.AbstractEventLoop) -> None:
        self._shop = shop
        self._loop = loop
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's is one
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what has come whole."""
        *heads, self._received = (self._received + data).split(b"\r\n\r\n")
        for head in heads:
            if head.startswith(b"GET /asked "):
                text = b"%d" % self._shop.asked
                self._transport.write(_HEAD % len(text) + text)
            else:
                self._shop.asked += 1
                content_id = head[: head.index(b" HTTP/")].rpartition(b"/")[2]
                if int(content_id) < FIRST_HELD:
                    self._loop.call_later(self._shop.delay, self._answer, content_id, head)

    def _answer(self, content_id: bytes, head: bytes) -> None:
        self._transport.write(b"".join((self._shop.before, content_id, self._shop.behind)))
        if b"connection: close" in head.lower():
            self._transport.close()


async def _serve(listener: socket.socket, delay: float) -> None:
    shop, loop = Shop(delay), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(shop, loop), sock=listener, backlog=_BACKLOG)
    await server.serve_forever()


def main() -> None:
    """Serve until told to end."""
    descriptor, delay = sys.argv[1:]
    asyncio.run(_serve(socket.socket(fileno=int(descriptor)), float(delay)))


if __name__ == "__main__":
    main()
