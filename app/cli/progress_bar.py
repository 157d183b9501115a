"""A progress bar on standard error that stays below the printed lines."""

import os
import sys
import threading
from typing import TYPE_CHECKING, NoReturn, Self

if TYPE_CHECKING:
    from tqdm import tqdm

#: The assumed size of a terminal that does not report its size.
_COLUMNS, _LINES = 80, 24


class ProgressBar:
    """Prints lines above a bar that counts completed ids.

    ``total`` is the number of ids, or None if it is unknown. The bar appears only if ``is_shown`` is true and standard
    error is a terminal. Lines are printed in any case.
    """

    def __init__(self, total: int | None, *, is_shown: bool) -> None:
        self._bar = _new_bar(total) if is_shown and sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def print_line(self, line: str, error: str = "") -> None:
        """Print an error message, if any, on standard error, and then a line on standard output, which is flushed."""
        must_redraw = self._bar is not None and (error or sys.stdout.isatty())
        if self._bar is not None and must_redraw:
            self._bar.clear()
        if error:
            print(error, file=sys.stderr)
        print(line, flush=True)
        if must_redraw:
            self.refresh()

    def advance(self) -> None:
        """Count one more id as completed."""
        if self._bar is not None:
            self._bar.update()

    def refresh(self) -> None:
        """Redraw the bar, with the time elapsed so far."""
        if self._bar is not None:
            self._bar.refresh()


def _new_bar(total: int | None) -> "tqdm[NoReturn]":
    from tqdm import tqdm  # noqa: PLC0415 - adds 40 % to the start-up time, and most runs show no bar

    tqdm.set_lock(threading.RLock())  # the default lock also synchronises processes, which is not necessary
    tqdm.monitor_interval = 0  # no monitor thread: refresh() is called often enough
    # A terminal without a window (a serial line, a container) reports 0 columns and 0 lines. With this size, tqdm would
    # draw nothing.
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
