"""The worker slot: which part of the memory that the workers of a server share this process writes to.

gunicorn.conf.py assigns a slot to each worker that it forks. Under a server that assigns none, the process creates
counters that no other process shares.
"""

from collections.abc import Callable

import msgspec

from app.store.purge_log import PurgeLog
from app.telemetry.shared_counters import SharedCounters


class WorkerSlot(msgspec.Struct, frozen=True):
    """The shared counters and the shared purge log, the slot of this worker, and whether the server is shutting down.

    ``is_shutting_down`` returns False in a worker that stops because of a reload or ``max_requests``: another worker
    replaces it, so clients can still reach the server.
    """

    counters: SharedCounters
    purge_log: PurgeLog
    index: int
    is_shutting_down: Callable[[], bool]


#: Empty until a slot is assigned.
_assigned: list[WorkerSlot] = []


def assign(
    counters: SharedCounters, purges: "memoryview[float]", index: int, stop_requested: Callable[[], bool]
) -> None:
    """Assign slot ``index`` to this process. ``stop_requested`` returns whether it received a signal to stop.

    ``purges`` is the memory of the purge log, with a part for each slot.
    """
    reloads = counters.reloads
    # The master stops workers for a reload as it does for a shutdown, but it counts the reload first.
    _assigned[:] = [
        WorkerSlot(
            counters,
            PurgeLog(purges, index),
            index,
            lambda: stop_requested() and counters.reloads == reloads,
        )
    ]


def current_slot() -> WorkerSlot:
    """Return the slot of this process. If none was assigned, the first call creates one."""
    if not _assigned:
        counters = SharedCounters.create(1)
        _assigned.append(WorkerSlot(counters, PurgeLog.create(), counters.free_slot(()), lambda: False))
    return _assigned[0]
