"""The hub: how work that takes its time lets the others of the process run."""

from collections.abc import Callable
from typing import TypeVar

import gevent

T = TypeVar("T")


def give_way() -> None:
    """Let all others have their turn, those included that wait for a socket or for a time.

    ``gevent.sleep(0)`` would let the loop go round after fifty turns of such greenlets only: at 2 ms of work in each,
    a tenth of a second in which no timeout fires. Any time above zero waits for the next round.
    """
    gevent.sleep(1e-9)


def in_thread(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, or raise what it raises, having run it in gevent's thread pool."""
    result: T = gevent.get_hub().threadpool.apply(work)
    return result
