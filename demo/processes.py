"""Child processes of the demo, each with a listening socket that it inherits.

Because the socket is opened first, the address is known before the program runs, no other process can take the port,
and a connection that is made too early waits instead of failing. All processes are in one process group, which is not
the terminal's foreground group: Ctrl-C reaches only the demo, which then stops them in order.
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
_START_TIMEOUT_SECONDS = 30.0
_STOP_TIMEOUT_SECONDS = 5.0
_LOG_LINES = 30


class ProcessFailedError(Exception):
    """A process did not start or has ended. The message is a line, followed by the last lines of its output."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running program: its name for messages, the URL of its socket, and the file with its output."""

    name: str
    address: str
    output: Path
    popen: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raise ProcessFailedError if the process has ended."""
        status = self.popen.poll()
        if status is not None:
            raise ProcessFailedError(self._failure(f"ended with status {status}"))

    def wait_until(self, is_ready: Callable[[], bool], *, timeout: float = _START_TIMEOUT_SECONDS) -> None:
        """Poll `is_ready` until it returns true. An OSError, such as a refused connection, counts as false.

        Raises ProcessFailedError if the process ends, or after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.check()
            with suppress(OSError):
                if is_ready():
                    return
            time.sleep(0.05)
        raise ProcessFailedError(self._failure(f"did not respond within {timeout:g} s"))

    def _failure(self, event: str) -> str:
        lines = self.output.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join([f"The {self.name} {event}; its output:", *(f"    {line}" for line in lines)])


@contextmanager
def running(
    name: str,
    command: Callable[[int], Sequence[str]],
    *,
    directory: Path,
    output: Path,
    environment: Mapping[str, str] | None = None,
    group_leader: Process | None = None,
    stop_timeout: float = _STOP_TIMEOUT_SECONDS,
) -> Iterator[Process]:
    """Run a program during the block, then stop it.

    `command` returns the command line for the file descriptor of the listening socket. Standard input is a pipe that is
    closed when the demo ends, even if it is killed. The program joins the process group of `group_leader`. Without one,
    it leads a new group, and all of that group is killed at the end of the block. Other programs get SIGINT, and are
    killed after `stop_timeout` seconds.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener, output.open("wb") as log:
        # gunicorn sets TCP_NODELAY too, but too late for connections that are made before it starts. Their responses
        # would be delayed by 40 ms (Nagle's algorithm and delayed ACKs).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address = "http://{}:{}".format(*listener.getsockname())
        popen = subprocess.Popen(  # noqa: S603 - the demo's own command lines, no shell
            command(listener.fileno()),
            cwd=directory,
            env=environment,
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0 if group_leader is None else group_leader.popen.pid,
        )
    # The demo's copy of the socket is closed here, so that connections are refused once the process has ended.
    try:
        yield Process(name, address, output, popen)
    finally:
        _stop(popen, is_leader=group_leader is None, timeout=stop_timeout)


def _stop(popen: subprocess.Popen[bytes], *, is_leader: bool, timeout: float) -> None:
    """Stop a process and wait for it: with SIGINT, which is gunicorn's quick shutdown, and after the timeout SIGKILL.

    The leader of a group is stopped last, by killing the whole group. It is reaped only after that: until then, its
    process group id cannot be reused.
    """
    if is_leader:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(popen.pid, signal.SIGKILL)
    else:
        popen.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            popen.wait(timeout)
        popen.kill()
    popen.wait()
    if popen.stdin is not None:
        popen.stdin.close()
