"""A worker's seat in its server: what the server tells the application that it serves.

gunicorn.conf.py has each worker take its seat when it is forked. Where nobody does, in another server, the application
has a seat of its own, on a board that it shares with nobody.
"""

from collections.abc import Callable

import msgspec

from app.telemetry.shared_counters import SharedCounters


class WorkerSlot(msgspec.Struct, frozen=True):
    """Where a worker counts, and what tells whether it leaves because the server ends.

    A worker that is replaced by another one, after a reload or after ``max_requests``, leaves no less; but callers find
    the server where it was.
    """

    counters: SharedCounters
    index: int
    is_shutting_down: Callable[[], bool]


_assigned: list[WorkerSlot] = []


def assign(counters: SharedCounters, index: int, was_told_to_stop: Callable[[], bool]) -> None:
    """Have this process, a worker just forked, sit here; ``is_told_to_leave`` tells whether it was told to end."""
    reloads = counters.reloads
    _assigned[:] = [WorkerSlot(counters, index, lambda: was_told_to_stop() and counters.reloads == reloads)]


def current_slot() -> WorkerSlot:
    """Return this process's seat, the same ever after."""
    if not _assigned:
        board = SharedCounters.create(1)
        _assigned.append(WorkerSlot(board, board.free_slot(()), lambda: False))
    return _assigned[0]
