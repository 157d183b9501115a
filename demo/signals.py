"""Deferred signals: the demo is interrupted only where it is safe to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class DeferredSignals:
    """Makes SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt, once, and only inside an `unblocked` block.

    A signal that arrives elsewhere, while processes are being started or stopped, is deferred until such a block
    begins. So no process is started and then left running, and a second Ctrl-C does not interrupt the clean-up.
    """

    def __init__(self) -> None:
        self._is_unblocked = False
        self._is_pending = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    @contextmanager
    def unblocked(self) -> Iterator[None]:
        """Let a signal end the block with KeyboardInterrupt."""
        self._is_unblocked = True
        try:
            self._raise_if_pending()
            yield
        finally:
            self._is_unblocked = False

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._is_pending = True
        self._raise_if_pending()

    def _raise_if_pending(self) -> None:
        if self._is_unblocked and self._is_pending:
            self._is_unblocked = False
            raise KeyboardInterrupt
