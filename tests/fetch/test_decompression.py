"""A body's bytes within their limits."""

import gzip
import itertools
import zlib
from collections.abc import Iterator

import pytest

from app.fetch.decompression import MAX_PIECE, InvalidBodyError, decode_content, limit_bytes


def inflate(*pieces: bytes) -> bytes:
    return b"".join(decode_content(iter(pieces), "gzip"))


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_body_without_encoding_is_itself(encoding: str) -> None:
    assert list(decode_content(iter([b"the", b"re"]), encoding)) == [b"the", b"re"]


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_gzip_is_undone(encoding: str) -> None:
    assert b"".join(decode_content(iter([gzip.compress(b"there")]), encoding)) == b"there"


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "zstd", "gzip;q=1", "identity, gzip", "\x00"])
def test_what_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(InvalidBodyError, match="unsupported content encoding"):
        decode_content(iter([gzip.compress(b"there")]), encoding)


def test_gzip_may_come_byte_by_byte() -> None:
    sent = gzip.compress(b"the") + gzip.compress(b"re") + bytes(9)
    assert inflate(*(bytes([byte]) for byte in sent)) == b"there"


@pytest.mark.parametrize("behind", [b"", bytes(100), b"junk", bytes(3) + b"junk", b"\x00\x00"])
def test_what_is_no_member_behind_gzip_is_passed_over(behind: bytes) -> None:
    assert inflate(gzip.compress(b"there") + behind, behind) == b"there"


@pytest.mark.parametrize("cut", [0, 1, 9, 10, 12, -9, -8, -4, -1])
def test_cut_gzip_is_refused(cut: int) -> None:
    with pytest.raises(InvalidBodyError, match="gzip data of the page is truncated"):
        inflate(gzip.compress(b"there")[:cut])


@pytest.mark.parametrize(
    "sent",
    [
        b"plain",
        zlib.compress(b"there"),
        gzip.compress(b"there")[:-8] + bytes(8),
        gzip.compress(b"there") + b"\x1f\x8bjunk",
        gzip.compress(b"there") + gzip.compress(b"there")[:-8] + bytes(8),
    ],
)
def test_broken_gzip_is_refused(sent: bytes) -> None:
    with pytest.raises(InvalidBodyError, match="gzip data of the page is invalid"):
        inflate(sent)


def test_a_bomb_comes_in_bounded_pieces() -> None:
    """So that whoever reads it can stop."""
    bomb = gzip.compress(bytes(10_000_000))
    sizes = [len(piece) for piece in decode_content(iter([bomb]), "gzip")]
    assert sum(sizes) == 10_000_000
    assert max(sizes) == MAX_PIECE


def test_members_without_end_are_refused() -> None:
    with pytest.raises(InvalidBodyError, match="more than 1000 gzip members"):
        inflate(gzip.compress(b"") * 1001)


def test_a_limit_gives_what_it_allows_before_it_refuses_more() -> None:
    def endless() -> Iterator[bytes]:
        return itertools.repeat(b"four")

    pieces = limit_bytes(endless(), 10)
    assert [next(pieces), next(pieces), next(pieces)] == [b"four", b"four", b"fo"]
    with pytest.raises(InvalidBodyError, match="more than 10 bytes"):
        next(pieces)


def test_a_body_may_have_its_limit() -> None:
    assert list(limit_bytes([b"four", b"four"], 8)) == [b"four", b"four"]
