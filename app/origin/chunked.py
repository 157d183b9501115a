"""The chunked coding (RFC 9112, 7.1), read to the letter.

urllib3 and http.client convert a chunk's size with ``int``, which takes ``-1`` for "all there is", and read trailers
without end. Here a size is hexadecimal digits, and every line has a limit.
"""

import re
from collections.abc import Iterator
from typing import Protocol

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?\r\n")
_MAX_LINE = 4096
_MAX_TRAILERS = 100


class ChunkedError(Exception):
    """These bytes are not in the chunked coding, or end before it does."""


class Reader(Protocol):
    """What is read from: a buffered binary stream."""

    def read(self, size: int, /) -> bytes: ...  # noqa: D102 - see the class
    def readline(self, size: int, /) -> bytes: ...  # noqa: D102 - see the class


def read_chunked(stream: Reader, most: int) -> Iterator[bytes]:
    """Yield the content of a chunked body, ``most`` bytes at a time at the most.

    Raises:
        ChunkedError: as its docstring says.

    """
    while (left := _size(stream)) > 0:
        while left > 0:
            data = stream.read(min(left, most))
            if not data:
                raise ChunkedError("a page that breaks off in the middle")
            left -= len(data)
            yield data
        if stream.read(2) != b"\r\n":
            raise ChunkedError("a page in broken chunks")
    for _ in range(_MAX_TRAILERS):
        line = stream.readline(_MAX_LINE)
        if line == b"\r\n":
            return
        if not line.endswith(b"\n"):
            break
    raise ChunkedError("a page whose trailers do not end")


def _size(stream: Reader) -> int:
    line = stream.readline(_MAX_LINE)
    if not line:
        raise ChunkedError("a page that breaks off in the middle")
    match = _SIZE.fullmatch(line)
    if match is None:
        raise ChunkedError("a page in broken chunks")
    return int(match[1], 16)
