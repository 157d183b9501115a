"""A crew: threads that work side by side, and whose results come in the order of the work.

Threads and not greenlets: patching for gevent would double the time that a command takes to start, and a read of
standard input may block a thread.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from queue import Empty, Queue, SimpleQueue
from typing import Generic, TypeVar

W = TypeVar("W")
R = TypeVar("R")
T = TypeVar("T")

#: How often who waits for a result is told so, in seconds.
_IDLE_SECONDS = 0.5


class _Place(Generic[W, R]):
    """One's place in the line: a piece of work, and what comes of it once that is known."""

    __slots__ = ("outcome", "work")

    def __init__(self, work: W) -> None:
        self.work = work
        self.outcome = SimpleQueue[R | Exception]()


def map_in_order(
    work: Iterable[W],
    hire: Callable[[], AbstractContextManager[Callable[[W], R]]],
    *,
    jobs: int,
    ahead: int,
    idle: Callable[[], None],
) -> Iterator[R]:
    """Yield what comes of each piece of work, in the order of the work, each as soon as its turn has come.

    At most ``jobs`` threads work at once, and no more than there are pieces, each with a function of its own that
    ``hire`` makes. Work is taken as it comes, in a further thread, and ``ahead`` pieces at most are kept behind the one
    whose turn it is. ``idle`` is called now and then while there is nothing to yield. What a function raises, or the
    work itself, is raised when its turn has come.

    The threads are daemons: who stops in the middle need not wait for what is under way, but should end the process.
    """
    line: Queue[_Place[W, R] | Exception | None] = Queue(ahead)
    to_do: SimpleQueue[_Place[W, R] | None] = SimpleQueue()

    def line_up() -> None:
        hired = 0
        try:
            for piece in work:
                place = _Place[W, R](piece)
                line.put(place)
                to_do.put(place)
                if hired < jobs:
                    _start(lambda: _do_all(hire, to_do))
                    hired += 1
        except Exception as error:  # noqa: BLE001 - it is raised where its turn comes
            line.put(error)
        line.put(None)
        for _ in range(hired):
            to_do.put(None)

    _start(line_up)
    while (place := _take(line, idle)) is not None:
        outcome = place if isinstance(place, Exception) else _take(place.outcome, idle)
        if isinstance(outcome, Exception):
            raise outcome
        yield outcome


def _start(target: Callable[[], None]) -> None:
    threading.Thread(target=target, daemon=True).start()


def _do_all(
    hire: Callable[[], AbstractContextManager[Callable[[W], R]]], to_do: SimpleQueue[_Place[W, R] | None]
) -> None:
    with hire() as do:
        while (place := to_do.get()) is not None:
            place.outcome.put(_outcome(do, place.work))


def _outcome(do: Callable[[W], R], piece: W) -> R | Exception:
    try:
        return do(piece)
    except Exception as error:  # noqa: BLE001 - it is raised where its turn comes
        return error


def _take(queue: Queue[T] | SimpleQueue[T], idle: Callable[[], None]) -> T:
    while True:
        try:
            return queue.get(timeout=_IDLE_SECONDS)
        except Empty:
            idle()
