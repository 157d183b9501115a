"""A body's bytes: within a limit, and out of gzip in bounded steps.

A body of 65 kB may inflate to 65 MB, and both may be more than a page can have: what is taken is pieces, what comes out
is pieces of a bounded size, so that who reads them can stop, or let others have their turn, in between.
"""

import zlib
from collections.abc import Generator, Iterable, Iterator

#: The most bytes in a piece that was inflated: some 0.3 ms of work.
MAX_PIECE = 262_144

_MAX_MEMBERS = 1000


class InvalidBodyError(Exception):
    """This is no body that can be used. The text says what it is instead."""


def limit_bytes(pieces: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield the first ``most`` bytes. Raises BadBodyError, when asked to go on, where there are more."""
    left = max_bytes
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            yield piece[:left]
            raise InvalidBodyError(f"a page of more than {max_bytes} bytes")
        yield piece


def decode_content(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the bytes behind a Content-Encoding: none, or gzip once, which is all that is asked for.

    Raises:
        BadBodyError: another encoding, broken or cut gzip.

    """
    match encoding.strip().lower():
        case "" | "identity":
            return pieces
        case "gzip" | "x-gzip":
            return _inflated(pieces)
    raise InvalidBodyError(f"a page in an encoding that was not asked for: {encoding[:40]!r}")


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what gzip holds (RFC 1952), in pieces of at most ``STEP`` bytes.

    It may have several members. Zeros behind one are padding; what follows a whole member and is none itself is passed
    over, as browsers do.
    """
    inflate, members = _new_member(), 1
    for piece in pieces:
        rest = piece
        while rest:
            if inflate.eof:
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                if not rest.startswith(b"\x1f"):
                    for _ in pieces:  # to the end all the same: a body that is cut short is none
                        pass
                    return
                inflate, members = _new_member(), members + 1
                if members > _MAX_MEMBERS:
                    raise InvalidBodyError(f"a page of more than {_MAX_MEMBERS} gzip members")
            rest = yield from _steps(inflate, rest)
    if not inflate.eof:
        raise InvalidBodyError("a page that ends in the middle of its gzip")


def _steps(inflate: "zlib._Decompress", data: bytes) -> Generator[bytes, None, bytes]:
    """Yield what a member makes of ``data``; return what comes behind the member."""
    while data and not inflate.eof:
        try:
            plain = inflate.decompress(data, MAX_PIECE)
        except zlib.error as error:
            raise InvalidBodyError("a page that is not the gzip it claims to be") from error
        data = inflate.unconsumed_tail
        if plain:
            yield plain
    return inflate.unused_data


def _new_member() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
