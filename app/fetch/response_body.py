"""The body of a response, with the interface that the requests library expects of ``Response.raw``."""

from collections.abc import Iterator
from typing import Final

from app.concurrency.greenlets import yield_to_hub
from app.fetch.connection import Connection, ConnectionClosedError
from app.fetch.connection_pool import ConnectionPool
from app.fetch.decompression import decode_content, limit_bytes
from app.fetch.response_parser import InvalidResponseError, ResponseParser
from app.fetch.transport_errors import LOW_LEVEL_ERRORS, to_requests_error

_PIECE_SIZE: Final = 65_536


class ResponseBody:
    """The body of a response, read on demand and within ``max_bytes``, both before and after decompression.

    As soon as the response is complete, its connection returns to the pool if it is reusable. If ``close`` is called
    earlier, it closes the connection without reading the rest.
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
        self._parser = parser
        self._pool = pool
        self._max_bytes = max_bytes
        self._encoding = encoding
        self._pieces: Iterator[bytes] | None = None
        self._buffer = b""

    def stream(self, size: int = _PIECE_SIZE, *, decode_content: bool = False) -> Iterator[bytes]:
        """Yield the body in pieces of at most ``size`` bytes, decompressed if ``decode_content`` is set.

        Raises:
            InvalidResponse: the response violates HTTP, its Content-Encoding or a limit.
            ReadTimeout: the server sent nothing within the timeout.
            ConnectionError: the connection broke, or was closed before the end.

        """
        while piece := self.read(size, decode_content=decode_content):
            yield piece

    def read(self, size: int | None = None, *, decode_content: bool = False) -> bytes:
        """Return the next ``size`` bytes, or the whole rest if ``size`` is None.

        There are fewer bytes only at the end of the body. Only the first call decides whether the body is decompressed.
        Raises the same exceptions as ``stream``.
        """
        if self._pieces is None:
            self._pieces = self._iterate(decode=decode_content)
        pieces, available = [self._buffer], len(self._buffer)
        try:
            while size is None or available < size:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                pieces.append(piece)
                available += len(piece)
        except LOW_LEVEL_ERRORS as error:
            self.close()
            raise to_requests_error(error) from error
        except BaseException:  # Timeout and GreenletExit
            self.close()
            raise
        data = b"".join(filter(None, pieces))  # most pages have one piece, which join() does not copy
        self._buffer = b"" if size is None else data[size:]
        return data if size is None else data[:size]

    def close(self) -> None:
        """Release the connection to the pool if the response is complete and allows reuse. Otherwise close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._parser.is_complete and self._parser.is_reusable:
            self._pool.release(connection)
        else:
            connection.close()
        self._parser.close()

    def _iterate(self, *, decode: bool) -> Iterator[bytes]:
        encoded = limit_bytes(self._receive(), self._max_bytes)
        content = decode_content(encoded, self._encoding) if decode else encoded
        if content is encoded:
            yield from encoded
            return
        for piece in limit_bytes(content, self._max_bytes):
            yield piece
            yield_to_hub()  # the data of one receive may decompress to a thousand pieces

    def _receive(self) -> Iterator[bytes]:
        """Yield the body as the server sends it, without its transfer coding."""
        parser = self._parser
        if not parser.has_length:
            raise InvalidResponseError("the response has no length, so a truncated body could not be detected")
        while not parser.is_complete:
            if self._connection is None:
                raise ConnectionClosedError("the response was closed before its body was read")
            yield parser.take_body()
            parser.feed(self._connection.receive())
        self.close()
        yield parser.take_body()
