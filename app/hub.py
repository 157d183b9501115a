"""The hub: how work that takes its time lets the others of the process run."""

from collections.abc import Callable
from typing import TypeVar, cast

import gevent
from gevent.threadpool import ThreadPool

T = TypeVar("T")


def give_way() -> None:
    """Let all others have their turn, those included that wait for a socket or for a time.

    ``gevent.sleep(0)`` would let the loop go round after fifty turns of such greenlets only: at 2 ms of work in each,
    a tenth of a second in which no timeout fires. Any time above zero waits for the next round.
    """
    gevent.sleep(1e-9)


def in_thread(work: Callable[[], T], threads: ThreadPool | None = None) -> T:
    """Return what ``work`` returns, or raise what it raises, having run it in a thread, of gevent's pool or another."""
    pool = gevent.get_hub().threadpool if threads is None else threads
    result, error = pool.apply(_outcome, (work,))
    if error is not None:
        raise error
    return cast("T", result)


def _outcome(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """Return what it returns or raises: what a thread raises, gevent prints, whoever catches it later."""
    try:
        return work(), None
    except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
        return None, error
