"""Reading ids from standard input."""

from collections.abc import Callable

import pytest

from app.cli.exit_status import UsageError
from app.cli.get import MAX_LINE, read_ids


def reader(*parts: bytes) -> Callable[[], bytes]:
    remaining = [*parts, b""]
    return lambda: remaining.pop(0)


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
    """The bytes may be split at any place. Whitespace, a byte order mark and blank lines are ignored."""
    assert list(read_ids(reader(*parts))) == ids


def test_an_id_is_yielded_as_soon_as_its_line_is_complete() -> None:
    ids = read_ids(iter([b"1\n2"]).__next__)
    assert next(ids) == "1"


@pytest.mark.parametrize("end", [b"", b"\n2\n"])
def test_a_line_that_is_too_long_is_rejected(end: bytes) -> None:
    """The rest of the line is not read. The ids before the line are yielded first."""
    parts = [b"1\n", *[b"x" * 10_000] * 7 + [end]]
    ids = read_ids(lambda: parts.pop(0))
    assert next(ids) == "1"
    with pytest.raises(UsageError, match=rf"^standard input: line 2: expected an id, got more than {MAX_LINE} bytes$"):
        next(ids)


def test_a_read_error_is_reported() -> None:
    def read() -> bytes:
        raise OSError(5, "Input/output error")

    with pytest.raises(UsageError, match=r"^standard input: Input/output error$"):
        next(read_ids(read))
