"""Processes: the programs that the demo runs beside itself, and how they end.

A process is handed its listening socket, so its address is known before it runs, nobody else can take the port in
between, and a connection made too early waits for it instead of failing. All processes are in one process group that is
not the terminal's foreground group: Ctrl-C reaches the demo alone, which then ends them in order.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_BACKLOG = 256
_PATIENCE = 30.0
_LEAVING = 5.0
_SHOWN = 30


class ProcessFailedError(Exception):
    """A process that did not come up or went away; the text is one line and then what the process printed last."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running program: what it is called, where it listens, and the file that has its output."""

    name: str
    address: str
    output: Path
    child: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raise ProcessFailedError if the process has ended."""
        status = self.child.poll()
        if status is not None:
            raise ProcessFailedError(self._failure(f"ended with status {status}"))

    def wait_till(self, is_ready: Callable[[], bool], *, patience: float = _PATIENCE) -> None:
        """Ask `is_ready` until it says yes; raise ProcessFailedError if the process ends, or after `patience` seconds.

        A question that runs into an OSError, as one to a closed door does, counts as a no.
        """
        until = time.monotonic() + patience
        while time.monotonic() < until:
            self.check()
            with suppress(OSError):
                if is_ready():
                    return
            time.sleep(0.05)
        raise ProcessFailedError(self._failure(f"did not answer within {patience:g} s"))

    def _failure(self, what: str) -> str:
        lines = self.output.read_text(errors="replace").splitlines()[-_SHOWN:]
        return "\n".join([f"The {self.name} {what}; its output:", *(f"    {line}" for line in lines)])


@contextmanager
def running(
    name: str,
    command: Callable[[int], Sequence[str]],
    *,
    directory: Path,
    output: Path,
    environment: Mapping[str, str] | None = None,
    beside: Process | None = None,
    leaving: float = _LEAVING,
) -> Iterator[Process]:
    """Run a program while the block runs, then end it.

    `command` makes the command line from the file descriptor of the listening socket. The standard input of the program
    is a pipe that ends when the demo does, however that happens. It joins the process group of `beside`; without it,
    it leads a new group, and whatever is left in the group ends with it. At the end of the block the program has
    `leaving` seconds to go by itself.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener, output.open("wb") as log:
        # gunicorn sets it too, but too late for a connection that comes before: its answers would wait 40 ms for ACKs.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address = "http://{}:{}".format(*listener.getsockname())
        child = subprocess.Popen(  # noqa: S603 - a command line of our own, no shell
            command(listener.fileno()),
            cwd=directory,
            env=environment,
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0 if beside is None else beside.child.pid,
        )
    # The demo's copy of the listener is closed here: when the process has gone, so has the door.
    try:
        yield Process(name, address, output, child)
    finally:
        _end(child, leads=beside is None, leaving=leaving)


def _end(child: subprocess.Popen[bytes], *, leads: bool, leaving: float) -> None:
    """End a process and wait for it: by SIGINT, at which gunicorn leaves at once, and by SIGKILL if it stays.

    The leader of a group is the last of it to end and is killed with all that is left in the group, before it is waited
    for: until then its id is nobody else's.
    """
    if leads:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(leaving)
        child.kill()
    child.wait()
    if child.stdin is not None:
        child.stdin.close()
