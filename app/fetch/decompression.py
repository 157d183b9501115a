"""The size limit and the Content-Encoding of a response body.

A body of 65 kB may decompress to 65 MB, and each of the two sizes may exceed the limit. The functions here take and
yield pieces of bounded size, so that a caller can stop, or yield to other greenlets, between two pieces.
"""

import zlib
from collections.abc import Generator, Iterable, Iterator

#: The largest piece of decompressed data, in bytes: some 0.3 ms of work.
MAX_PIECE = 262_144

_MAX_MEMBERS = 1000


class InvalidBodyError(Exception):
    """A body cannot be used. The text says why."""


def limit_bytes(pieces: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield the first ``max_bytes`` bytes of ``pieces``.

    Raises:
        InvalidBodyError: there are more bytes. It is raised after the allowed ones have been yielded.

    """
    remaining = max_bytes
    for piece in pieces:
        remaining -= len(piece)
        if remaining < 0:
            yield piece[:remaining]
            raise InvalidBodyError(f"the page has more than {max_bytes} bytes")
        yield piece


def decode_content(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the content behind a Content-Encoding (RFC 9110, 8.4): none, or gzip once, which is all that we accept.

    Raises:
        InvalidBodyError: the encoding is another one, or the gzip data is invalid or truncated.

    """
    match encoding.strip().lower():
        case "" | "identity":
            return pieces
        case "gzip" | "x-gzip":
            return _decompress_gzip(pieces)
    raise InvalidBodyError(f"the page has an unsupported content encoding: {encoding[:40]!r}")


def _decompress_gzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of gzip data (RFC 1952) in pieces of at most ``MAX_PIECE`` bytes.

    The data may have several members, with padding of zero bytes after each. Trailing data that is not a member is
    ignored, as browsers do.
    """
    member, member_count = _new_decompressor(), 1
    for piece in pieces:
        data = piece
        while data:
            if member.eof:
                data = data.lstrip(b"\0")
                if not data:
                    break
                if not data.startswith(b"\x1f"):
                    for _ in pieces:  # still reads the body to its end: a truncated one is an error
                        pass
                    return
                member, member_count = _new_decompressor(), member_count + 1
                if member_count > _MAX_MEMBERS:
                    raise InvalidBodyError(f"the page has more than {_MAX_MEMBERS} gzip members")
            data = yield from _decompress_member(member, data)
    if not member.eof:
        raise InvalidBodyError("the gzip data of the page is truncated")


def _decompress_member(member: "zlib._Decompress", data: bytes) -> Generator[bytes, None, bytes]:
    """Yield the content of ``data``, a part of one member; return the data after the end of the member."""
    while data and not member.eof:
        try:
            content = member.decompress(data, MAX_PIECE)
        except zlib.error as error:
            raise InvalidBodyError("the gzip data of the page is invalid") from error
        data = member.unconsumed_tail
        if content:
            yield content
    return member.unused_data


def _new_decompressor() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
