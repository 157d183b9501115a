"""Running processes, as reported by /proc."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import gevent


class Process(NamedTuple):
    """A running process and its ids, see proc(5)."""

    pid: int
    parent: int
    group: int
    session: int


def running_processes() -> Iterator[Process]:
    """Yield all processes except zombies."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The fields after the name, which is in parentheses and may contain any character.
            state, *ids = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # the process has ended meanwhile
        if state not in {"Z", "X"}:
            yield Process(int(stat.parent.name), *map(int, ids))


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process until the block ends; signals and data that are sent to it meanwhile stay pending."""
    os.kill(pid, signal.SIGSTOP)
    try:
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            gevent.sleep(0.001)  # a signal sent before it has stopped would still be handled
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def is_signal_pending(pid: int, number: int) -> bool:
    """Return whether a signal is pending for a process, for example because the process is stopped."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["ShdPnd"], 16) >> (number - 1) & 1)


def shared_memory(pid: int) -> int:
    """Return the bytes of anonymous memory that a process shares with its children."""
    ranges = [line.split()[0] for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "/dev/zero" in line]
    return sum(int(end, 16) - int(start, 16) for start, end in (range_.split("-") for range_ in ranges))
