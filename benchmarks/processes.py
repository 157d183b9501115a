"""Runs programs on given cores, each with a listening socket, and measures their processor time and memory.

Both include all processes of the program's session, by proc(5).
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

_TICKS = os.sysconf("SC_CLK_TCK")
_BACKLOG = 2048

_START_TIMEOUT_SECONDS, _STOP_TIMEOUT_SECONDS = 30.0, 5.0

#: How many lines of a failed program's output are shown.
_SHOWN_LINES = 20


class ProgramFailed(Exception):
    """A program ended, or was not ready in time. The text has the end of its output."""


@dataclass(frozen=True, slots=True)
class Program:
    """A running program: its port on loopback, its process and the file with its output."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """Its URL without a path."""
        return f"http://127.0.0.1:{self.port}"

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Wait until ``is_ready`` returns True. An ``OSError`` that it raises counts as False.

        Raises:
            ProgramFailed: the program ended, or it was not ready in time.

        """
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError):
                if is_ready():
                    return
            time.sleep(0.05)
        lines = self.log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        raise ProgramFailed("\n".join([f"{self.process.args!r} did not become ready:", *lines]))

    def cpu_seconds(self) -> float:
        """Return the processor time used so far, user and system, in seconds."""
        # utime and stime, and those of the children that have ended.
        return sum(sum(map(int, fields[11:15])) for _, fields in self._session()) / _TICKS

    def memory(self) -> int:
        """Return the proportional set size (Pss) in bytes: resident memory, with shared pages counted once."""
        kilobytes = 0
        for pid, _ in self._session():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
        return kilobytes * 1024

    def _session(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the pid of each process in the session, with the fields of its stat file after the name."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.process.pid:
                    yield int(stat.parent.name), fields


@contextmanager
def running(
    command: Callable[[int], Sequence[str]],
    *,
    cores: AbstractSet[int],
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Program]:
    """Run a program on these cores, in this folder, until the block ends.

    ``command`` returns the command line for the descriptor of the listening socket. No options are set on the socket,
    so TCP_NODELAY is up to the program. ``environment`` has additional variables.
    """
    # Settings for a proxy or for another instance of the service must not affect the benchmark.
    excluded = ("covers_", "gunicorn_", "http_proxy", "https_proxy", "all_proxy")
    inherited = {name: value for name, value in os.environ.items() if not name.lower().startswith(excluded)}
    log = folder / "log"
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener, log.open("wb") as output:
        port = listener.getsockname()[1]
        pinned = [sys.executable, "-m", "benchmarks.pinned", ",".join(map(str, sorted(cores)))]
        process = subprocess.Popen(  # noqa: S603 - a fixed command line, no shell
            [*pinned, *command(listener.fileno())],
            cwd=folder,
            env=inherited | {"PYTHONPATH": str(ROOT)} | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    try:
        yield Program(port, process, log)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_TIMEOUT_SECONDS)
        # Children may still run after the leader of the process group has ended.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
