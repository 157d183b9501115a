"""Ids from standard input."""

from collections.abc import Callable

import pytest

from app.cli.exit_status import UsageError
from app.cli.ids import MAX_LINE, read_ids


def reading(*parts: bytes) -> Callable[[], bytes]:
    left = [*parts, b""]
    return lambda: left.pop(0)


@pytest.mark.parametrize(
    ("parts", "ids"),
    [
        ([], []),
        ([b"1\n2\n"], ["1", "2"]),
        ([b"1\n2"], ["1", "2"]),
        ([b"1", b"2\n3", b"\n", b"4"], ["12", "3", "4"]),
        ([b"\n\n 1\t\n   \n\n2\n\n"], ["1", "2"]),
        ([b"1\r\n2\r\n"], ["1", "2"]),
        ([b"\xef\xbb\xbf1\n2\n"], ["1", "2"]),
        ([b"caa:76df3287\n", "страница".encode()], ["caa:76df3287", "страница"]),
        ([b"a\xff\n1"], ["a\ufffd", "1"]),
    ],
)
def test_each_line_is_an_id(parts: list[bytes], ids: list[str]) -> None:
    """However it comes; without blanks, byte order mark and empty lines."""
    assert list(read_ids(reading(*parts))) == ids


def test_an_id_is_there_as_soon_as_its_line_is() -> None:
    ids = read_ids(iter([b"1\n2"]).__next__)
    assert next(ids) == "1"


@pytest.mark.parametrize("end", [b"", b"\n2\n"])
def test_a_line_without_end_is_refused(end: bytes) -> None:
    """It is not read to its end; the ids before it are there."""
    parts = [b"1\n", *[b"x" * 10_000] * 7 + [end]]
    ids = read_ids(lambda: parts.pop(0))
    assert next(ids) == "1"
    with pytest.raises(UsageError, match=rf"^standard input: line 2: expected an id, got more than {MAX_LINE} bytes$"):
        next(ids)


def test_input_that_cannot_be_read_is_told() -> None:
    def read() -> bytes:
        raise OSError(5, "Input/output error")

    with pytest.raises(UsageError, match=r"^standard input: Input/output error$"):
        next(read_ids(read))
