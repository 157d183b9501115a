"""A terminal as programs have one: what they write to it is read here, and what stands there in the end."""

import fcntl
import os
import pty
import struct
import termios
from contextlib import suppress

from app.concurrency.greenlets import run_in_thread


class Terminal:
    """A terminal of 80 columns, unless it has none: what programs write to it, and what is typed."""

    def __init__(self, *, lines: int = 24, columns: int = 80) -> None:
        # Files, since os.close is gevent's and closes a little later: a terminal is at its end when all have closed it.
        self._screen, self.program = (os.fdopen(end, "r+b", buffering=0) for end in pty.openpty())
        fcntl.ioctl(self.program, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._written = b""

    def type(self, text: str) -> None:
        self._screen.write(text.encode())

    def until(self, text: str) -> None:
        """Read what is written until this text is there."""
        while text.encode() not in self._written:
            self._written += self._read()

    def lines(self) -> list[str]:
        """Return the lines that stand there when all programs have ended."""
        self.program.close()
        with self._screen, suppress(OSError):  # at the end
            while True:
                self._written += self._read()
        return [self._shown(line) for line in self._written.decode().split("\n")]

    def _read(self) -> bytes:
        return run_in_thread(lambda: os.read(self._screen.fileno(), 65536))

    def _shown(self, line: str) -> str:
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        return "".join(cells).rstrip()
