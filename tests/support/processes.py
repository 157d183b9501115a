"""Processes by /proc: which live in a process group, in a session, or as the children of one; what is known of them."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import gevent


class Process(NamedTuple):
    """A process that lives: its ids, as proc(5) has them."""

    pid: int
    parent: int
    group: int
    session: int


def living() -> Iterator[Process]:
    """Yield the processes that live, those left out that are dead and not yet buried."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which is in parentheses and may hold anything: state, parent, group, session.
            state, *ids = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it ended meanwhile
        if state not in {"Z", "X"}:
            yield Process(int(stat.parent.name), *map(int, ids))


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Have a process stand still until the block ends: what it is sent meanwhile, it has not taken yet."""
    os.kill(pid, signal.SIGSTOP)
    try:
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            gevent.sleep(0.001)  # a signal that comes before it stands would be taken first
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def is_told(pid: int, number: int) -> bool:
    """Tell whether a process has been sent a signal that it has not taken, which it cannot while it is stopped."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["ShdPnd"], 16) >> (number - 1) & 1)


def shared_memory(pid: int) -> int:
    """Return how many bytes of memory without a file a process shares with those that are forked from it."""
    ranges = [line.split()[0] for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "/dev/zero" in line]
    return sum(int(end, 16) - int(start, 16) for start, end in (range_.split("-") for range_ in ranges))
