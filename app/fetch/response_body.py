"""The body of an answer, in the form in which requests reads it."""

from collections.abc import Iterator
from typing import Final

from app.concurrency.greenlets import yield_to_hub
from app.fetch.connection_pool import Connection, ConnectionClosedError, ConnectionPool
from app.fetch.decompression import decode_content, limit_bytes
from app.fetch.response_parser import InvalidResponseError, ResponseParser
from app.fetch.transport_errors import LOW_LEVEL_ERRORS, to_requests_error

_PIECE: Final = 65_536


class ResponseBody:
    """The body of an answer, as ``Response.raw``: read as it is asked for, within the limits.

    Its connection is kept as soon as the answer has come whole; else ``close`` closes it, without waiting for the rest.
    """

    def __init__(
        self,
        connection: Connection,
        parser: ResponseParser,
        *,
        pool: ConnectionPool,
        max_bytes: int,
        encoding: str,
    ) -> None:
        self._connection: Connection | None = connection
        self._answer = parser
        self._connections = pool
        self._max_bytes = max_bytes
        self._encoding = encoding
        self._pieces: Iterator[bytes] | None = None
        self._rest = b""

    def stream(self, size: int = _PIECE, *, decode_content: bool = False) -> Iterator[bytes]:
        """Yield the body in pieces of at most ``size`` bytes, out of its Content-Encoding with ``decode_content``.

        Raises:
            BadAnswer: it breaks HTTP, its encoding or a limit.
            ReadTimeout: a wait for a byte takes too long.
            ConnectionError: the connection broke, or was closed before the end.

        """
        while piece := self.read(size, decode_content=decode_content):
            yield piece

    def read(self, size: int | None = None, *, decode_content: bool = False) -> bytes:
        """Return ``size`` bytes, fewer only at the body's end; or all that is left. Raises as ``stream`` does."""
        if self._pieces is None:
            self._pieces = self._read(is_decoded=decode_content)
        ready, there = [self._rest], len(self._rest)
        try:
            while size is None or there < size:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                ready.append(piece)
                there += len(piece)
        except LOW_LEVEL_ERRORS as error:
            self._let_go()
            raise to_requests_error(error) from error
        except BaseException:  # Timeout and GreenletExit
            self._let_go()
            raise
        whole = b"".join(filter(None, ready))  # one piece is not copied: most pages are one
        self._rest = b"" if size is None else whole[size:]
        return whole if size is None else whole[:size]

    def close(self) -> None:
        """Read no further."""
        self._let_go()

    def release_conn(self) -> None:
        """Read no further: requests calls it so."""
        self._let_go()

    def _read(self, *, is_decoded: bool) -> Iterator[bytes]:
        sent = limit_bytes(self._receive(), self._max_bytes)
        plain = decode_content(sent, self._encoding) if is_decoded else sent
        if plain is sent:
            yield from sent
            return
        for piece in limit_bytes(plain, self._max_bytes):
            yield piece
            yield_to_hub()  # a receive may have brought a thousand pieces

    def _receive(self) -> Iterator[bytes]:
        answer = self._answer
        if not answer.has_length:
            raise InvalidResponseError("a page without a length, whose end cannot be told from a cut")
        while not answer.is_complete:
            if self._connection is None:
                raise ConnectionClosedError("the answer was closed before it was read")
            yield answer.take_body()
            answer.feed(receive(self._connection))
        self._let_go()
        yield answer.take_body()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._answer.is_complete and self._answer.is_reusable:
            self._connections.release(connection)
        else:
            connection.close()
        self._answer.close()


def receive(connection: Connection) -> bytes:
    """Return what comes next. Raises ClosedError where nothing does, else as the connection's own method."""
    received = connection.receive()
    if not received:
        raise ConnectionClosedError(
            "the connection was closed " + ("in the middle" if connection.has_received else "unanswered")
        )
    return received
