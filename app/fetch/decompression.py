"""The size limit and the decompression of a response body.

The size has to be limited both before and after decompression, because a body of 65 kB may decompress to 65 MB. The
generators here take and produce pieces of bounded size. Between two pieces, the caller can stop or let other greenlets
run.
"""

import zlib
from collections.abc import Generator, Iterable, Iterator

#: The largest piece of decompressed data, in bytes. Its decompression takes about 0.3 ms.
MAX_PIECE = 262_144

_MAX_MEMBERS = 1000


class InvalidBodyError(Exception):
    """A body cannot be used. The message says why."""


def limit_bytes(pieces: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield the first ``max_bytes`` bytes of ``pieces``.

    Raises:
        InvalidBodyError: there are more bytes. The error is raised after the allowed bytes have been yielded.

    """
    remaining = max_bytes
    for piece in pieces:
        remaining -= len(piece)
        if remaining < 0:
            yield piece[:remaining]
            raise InvalidBodyError(f"the page has more than {max_bytes} bytes")
        yield piece


def decode_content(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Return the pieces of a body without their Content-Encoding (RFC 9110, 8.4).

    The encoding may be gzip, applied once, or none, because requests ask for no other encoding.

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

    The data may have several members, each followed by zero bytes as padding. Trailing data that is not a member is
    ignored. Browsers ignore such data too.
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
                    for _ in pieces:  # read the body to its end, because a truncated body is an error
                        pass
                    return
                member, member_count = _new_decompressor(), member_count + 1
                if member_count > _MAX_MEMBERS:
                    raise InvalidBodyError(f"the page has more than {_MAX_MEMBERS} gzip members")
            data = yield from _decompress_member(member, data)
    if not member.eof:
        raise InvalidBodyError("the gzip data of the page is truncated")


def _decompress_member(member: "zlib._Decompress", data: bytes) -> Generator[bytes, None, bytes]:
    """Yield the content of one member as far as ``data`` contains it. Return the data after the end of the member."""
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
