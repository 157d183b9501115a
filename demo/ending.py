"""The ending: the signals by which the demo is told to stop, taken only where stopping is safe."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Ending:
    """SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread, once, and only in a block that allows it.

    Elsewhere, that is while processes are started and ended, a signal is kept until such a block begins. So no process
    is started and then forgotten, and an impatient second Ctrl-C does not break off the ending that the first began.
    """

    def __init__(self) -> None:
        self._allowed = False
        self._arrived = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._arrive)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let the signals end the block, with KeyboardInterrupt."""
        self._allowed = True
        try:
            self._raise_if_due()
            yield
        finally:
            self._allowed = False

    def _arrive(self, _number: int, _frame: FrameType | None) -> None:
        self._arrived = True
        self._raise_if_due()

    def _raise_if_due(self) -> None:
        if self._allowed and self._arrived:
            self._allowed = False
            raise KeyboardInterrupt
