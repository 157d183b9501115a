"""The hub: how work that takes its time lets the others of the process run."""

from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar, cast

import gevent
from gevent.threadpool import ThreadPool
from greenlet import greenlet

T = TypeVar("T")


def yield_to_hub() -> None:
    """Let all others have their turn, those included that wait for a socket or for a time.

    ``gevent.sleep(0)`` would let the loop go round after fifty turns of such greenlets only: at 2 ms of work in each,
    a tenth of a second in which no timeout fires. Any time above zero waits for the next round.
    """
    gevent.sleep(1e-9)


def spawn(function: Callable[..., T], *args: Any) -> "gevent.Greenlet[..., T]":
    """Start a greenlet as ``gevent.spawn`` does, but in a copy of this context: by itself one begins with an empty one.

    So what is done on behalf of a request has the request's id.
    """
    greenlet = gevent.spawn(function, *args)
    greenlet.gr_context = copy_context()
    return greenlet


class GreenletPool:
    """Greenlets that run one thing after the other, so that few have to be made.

    A new one has its first frames in memory that the system maps, clears and takes back each time; in a virtual machine
    that costs as much as a tenth of a lookup. ``most_idle`` are kept, each with some 20 kB.
    """

    def __init__(self, max_idle: int) -> None:
        self._idle: list[_Runner] = []
        self._most_idle = max_idle

    def spawn(self, work: Callable[[], object]) -> None:
        """Have ``work``, which raises no Exception, run soon in a greenlet, in a copy of this context."""
        runner = self._idle.pop() if self._idle else _Runner(self._is_kept)
        runner.work = work
        runner.gr_context = copy_context()
        gevent.get_hub().loop.run_callback(runner.switch)

    def _is_kept(self, runner: "_Runner") -> bool:
        if len(self._idle) >= self._most_idle:
            return False
        self._idle.append(runner)
        return True


class _Runner(greenlet):
    """Runs its ``work`` each time that it is switched to; at its end ``is_kept`` says whether there is a next time.

    One that is killed is not kept.
    """

    work: Callable[[], object]

    def __init__(self, is_kept: "Callable[[_Runner], bool]") -> None:
        super().__init__(parent=gevent.get_hub())
        self._is_kept = is_kept

    def run(self) -> None:
        """Work on and on."""
        self._work_once()
        while self._is_kept(self):
            gevent.get_hub().switch()
            self._work_once()

    def _work_once(self) -> None:
        work = self.work
        del self.work  # and what hangs on it: it may be long before there is more to do
        work()


def run_in_thread(work: Callable[[], T], threads: ThreadPool | None = None) -> T:
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
