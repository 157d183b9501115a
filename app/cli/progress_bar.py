"""The progress of a run: its lines, and below them a bar on standard error where that is a terminal."""

import os
import sys
import threading
from typing import TYPE_CHECKING, NoReturn, Self

if TYPE_CHECKING:
    from tqdm import tqdm

#: Of a terminal that does not say.
_COLUMNS, _LINES = 80, 24


class Progress:
    """Prints the lines of a run, above a bar that counts what is done.

    ``total`` is how much there is to do, None where nobody knows. There is no bar where standard error is no terminal,
    or none ``is_shown``.
    """

    def __init__(self, total: int | None, *, is_shown: bool) -> None:
        self._bar = _bar(total) if is_shown and sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def say(self, line: str, complaint: str = "") -> None:
        """Print a line at once, and a complaint on standard error if there is one."""
        is_in_the_way = self._bar is not None and (complaint or sys.stdout.isatty())
        if self._bar is not None and is_in_the_way:
            self._bar.clear()
        if complaint:
            print(complaint, file=sys.stderr)
        print(line, flush=True)
        if is_in_the_way:
            self.refresh()

    def advance(self) -> None:
        """Count one more as done."""
        if self._bar is not None:
            self._bar.update()

    def refresh(self) -> None:
        """Show the bar as it is now: its clock goes on."""
        if self._bar is not None:
            self._bar.refresh()


def _bar(total: int | None) -> "tqdm[NoReturn]":
    from tqdm import tqdm  # noqa: PLC0415 - it takes a third as long to import as all the rest, and few runs show it

    tqdm.set_lock(threading.RLock())  # its own is one for processes too
    tqdm.monitor_interval = 0  # it needs no thread of its own either
    # A terminal that no window stands behind, a serial line's or a container's, has no columns and no lines: tqdm would
    # draw nothing there.
    has_size = all(os.get_terminal_size(sys.stderr.fileno()))
    return tqdm(
        total=total,
        unit="id",
        leave=False,
        ncols=_COLUMNS,
        nrows=_LINES,
        dynamic_ncols=has_size,
        file=sys.stderr,
    )
