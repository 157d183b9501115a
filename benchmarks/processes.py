"""A process with what it has started: it is handed its listening socket, pinned to cores, measured, and ended.

Times and memory are those of its whole session, by proc(5).
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

#: A program has so many seconds to answer at first, and to leave at last.
_UP_SECONDS, _DOWN_SECONDS = 30.0, 5.0

#: How many lines of its output are shown of a program that failed.
_SHOWN = 20


class ProgramFailed(Exception):
    """A program that did not come up, or gave a wrong answer."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs: its port on loopback, and its process."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def wait_till(self, is_ready: Callable[[], bool]) -> None:
        """Wait until ``is_ready`` says so; an OSError is a no.

        Raises:
            ProgramFailed: the program ended, or it took too long.

        """
        until = time.monotonic() + _UP_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError):
                if is_ready():
                    return
            time.sleep(0.05)
        shown = self.log.read_text(errors="replace").splitlines()[-_SHOWN:]
        raise ProgramFailed("\n".join([f"{self.process.args!r} does not answer:", *shown]))

    def cpu_seconds(self) -> float:
        """Return the processor time taken so far, user and system, in seconds."""
        # utime, stime, and both of the children that have ended.
        return sum(sum(map(int, fields[11:15])) for _, fields in self._session()) / _TICKS

    def memory(self) -> int:
        """Return the resident memory in bytes, pages that processes share counted once (Pss)."""
        kilobytes = 0
        for pid, _ in self._session():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
        return kilobytes * 1024

    def _session(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the ids of the processes of its session, with the fields that follow the name in their stat."""
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

    ``command`` makes the command line from the descriptor of the listening socket, which has no options set: whether
    TCP_NODELAY is, is up to the program. ``environment`` are further variables.
    """
    # What says how to reach the outside or configures a service elsewhere is not meant for these.
    foreign = ("covers_", "gunicorn_", "http_proxy", "https_proxy", "all_proxy")
    inherited = {name: value for name, value in os.environ.items() if not name.lower().startswith(foreign)}
    log = folder / "log"
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener, log.open("wb") as output:
        port = listener.getsockname()[1]
        pinned = [sys.executable, "-m", "benchmarks.pinned", ",".join(map(str, sorted(cores)))]
        process = subprocess.Popen(  # noqa: S603 - a command line of ours, no shell
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
            process.wait(_DOWN_SECONDS)
        # The leader of the group may have gone, and its children not.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
