"""The ids that standard input has: UTF-8, one a line."""

import codecs
from collections.abc import Callable, Iterator

from app.cli.exit_status import UsageError

#: Bytes of a line: no id comes near it, and what has no lines at all is not read into memory.
MAX_LINE = 65_536


def read_ids(read: Callable[[], bytes]) -> Iterator[str]:
    """Yield each id as soon as its line has come; ``read`` returns the bytes that have, and none at the end.

    Blanks around an id are no part of it, and lines without one are passed over. Raises WrongUsage where a line is too
    long for an id, or the input cannot be read.
    """
    for number, line in enumerate(_lines(read), 1):
        if len(line) > MAX_LINE:
            raise UsageError(f"standard input: line {number}: expected an id, got more than {MAX_LINE} bytes")
        content_id = line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode("utf-8", "replace").strip()
        if content_id:
            yield content_id


def _lines(read: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield the lines without their ends, and the beginning of one that is too long."""
    rest = b""
    try:
        while len(rest) <= MAX_LINE and (received := read()):
            *lines, rest = (rest + received).split(b"\n")
            yield from lines
    except OSError as error:
        raise UsageError(f"standard input: {error.strerror}") from error
    yield rest
