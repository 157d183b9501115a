"""The size limit and the Content-Encoding of a body."""

import gzip
import itertools
import zlib
from collections.abc import Iterator

import pytest

from app.fetch.decompression import MAX_PIECE, InvalidBodyError, decode_content, limit_bytes


def decompress(*pieces: bytes) -> bytes:
    return b"".join(decode_content(iter(pieces), "gzip"))


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_body_without_encoding_is_unchanged(encoding: str) -> None:
    assert list(decode_content(iter([b"the", b"re"]), encoding)) == [b"the", b"re"]


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_gzip_is_decompressed(encoding: str) -> None:
    assert b"".join(decode_content(iter([gzip.compress(b"there")]), encoding)) == b"there"


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "zstd", "gzip;q=1", "identity, gzip", "\x00"])
def test_another_encoding_is_rejected(encoding: str) -> None:
    with pytest.raises(InvalidBodyError, match="unsupported content encoding"):
        decode_content(iter([gzip.compress(b"there")]), encoding)


def test_gzip_may_arrive_byte_by_byte() -> None:
    data = gzip.compress(b"the") + gzip.compress(b"re") + bytes(9)
    assert decompress(*(bytes([byte]) for byte in data)) == b"there"


@pytest.mark.parametrize("trailing", [b"", bytes(100), b"junk", bytes(3) + b"junk", b"\x00\x00"])
def test_trailing_data_that_is_not_a_gzip_member_is_ignored(trailing: bytes) -> None:
    assert decompress(gzip.compress(b"there") + trailing, trailing) == b"there"


@pytest.mark.parametrize("length", [0, 1, 9, 10, 12, -9, -8, -4, -1])
def test_truncated_gzip_is_rejected(length: int) -> None:
    with pytest.raises(InvalidBodyError, match="gzip data of the page is truncated"):
        decompress(gzip.compress(b"there")[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"plain",
        zlib.compress(b"there"),
        gzip.compress(b"there")[:-8] + bytes(8),
        gzip.compress(b"there") + b"\x1f\x8bjunk",
        gzip.compress(b"there") + gzip.compress(b"there")[:-8] + bytes(8),
    ],
)
def test_invalid_gzip_is_rejected(data: bytes) -> None:
    with pytest.raises(InvalidBodyError, match="gzip data of the page is invalid"):
        decompress(data)


def test_a_decompression_bomb_yields_pieces_of_bounded_size() -> None:
    """So that the caller can stop."""
    bomb = gzip.compress(bytes(10_000_000))
    sizes = [len(piece) for piece in decode_content(iter([bomb]), "gzip")]
    assert sum(sizes) == 10_000_000
    assert max(sizes) == MAX_PIECE


def test_the_number_of_gzip_members_is_limited() -> None:
    with pytest.raises(InvalidBodyError, match="more than 1000 gzip members"):
        decompress(gzip.compress(b"") * 1001)


def test_the_allowed_bytes_are_yielded_before_the_error() -> None:
    def endless() -> Iterator[bytes]:
        return itertools.repeat(b"four")

    pieces = limit_bytes(endless(), 10)
    assert [next(pieces), next(pieces), next(pieces)] == [b"four", b"four", b"fo"]
    with pytest.raises(InvalidBodyError, match="more than 10 bytes"):
        next(pieces)


def test_a_body_may_have_exactly_the_limit() -> None:
    assert list(limit_bytes([b"four", b"four"], 8)) == [b"four", b"four"]
