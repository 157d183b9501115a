"""A pseudo-terminal for programs under test: reads their output and types input."""

import fcntl
import os
import pty
import struct
import termios
from contextlib import suppress

from app.concurrency.greenlets import run_in_thread


class Terminal:
    """A pseudo-terminal. A size of 0 means that it is unknown.

    ``program`` is the end that programs get as their standard streams.
    """

    def __init__(self, *, lines: int = 24, columns: int = 80) -> None:
        # File objects, since gevent's os.close closes a descriptor with a delay. A read reports the end of the output
        # only when every descriptor of the program's end is closed.
        self._master, self.program = (os.fdopen(end, "r+b", buffering=0) for end in pty.openpty())
        fcntl.ioctl(self.program, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._output = b""

    def type(self, text: str) -> None:
        self._master.write(text.encode())

    def read_until(self, text: str) -> None:
        """Read the output until it contains this text."""
        while text.encode() not in self._output:
            self._output += self._read()

    def screen_lines(self) -> list[str]:
        """Read the output to its end, which is when all programs have exited, and return the lines on the screen."""
        self.program.close()
        with self._master, suppress(OSError):  # EIO at the end
            while True:
                self._output += self._read()
        return [self._visible(line) for line in self._output.decode().split("\n")]

    def _read(self) -> bytes:
        return run_in_thread(lambda: os.read(self._master.fileno(), 65536))

    def _visible(self, line: str) -> str:
        """Return what remains visible of a line in which each carriage return starts to overwrite it."""
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        return "".join(cells).rstrip()
