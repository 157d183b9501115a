"""Greenlets: yielding to the hub, spawning with the caller's context, a pool of reusable greenlets, and threads."""

from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar, cast

import gevent
from gevent.threadpool import ThreadPool
from greenlet import greenlet

T = TypeVar("T")


def yield_to_hub() -> None:
    """Let all ready greenlets run, and let the event loop poll its sockets and timers once.

    ``gevent.sleep(0)`` may end before the event loop polls, because the loop runs up to fifty ready greenlets first. If
    each of these works for 2 ms, no timeout fires for a tenth of a second. Any longer sleep ends only after a poll.
    """
    gevent.sleep(1e-9)


def spawn(function: Callable[..., T], *args: Any) -> "gevent.Greenlet[..., T]":
    """Start a greenlet in a copy of the caller's context.

    A greenlet that a request starts therefore has the id of the request in its context. ``gevent.spawn`` would start
    the greenlet in an empty context.
    """
    greenlet = gevent.spawn(function, *args)
    greenlet.gr_context = copy_context()
    return greenlet


class GreenletPool:
    """Runs functions in greenlets that it reuses.

    The system maps, clears and later unmaps memory for the stack of each new greenlet. In a virtual machine this takes
    up to a tenth of the time of a lookup. The pool keeps up to ``max_idle`` idle greenlets of about 20 kB each. It does
    not limit the number of running greenlets.
    """

    def __init__(self, max_idle: int) -> None:
        self._idle: list[_PooledGreenlet] = []
        self._max_idle = max_idle

    def spawn(self, function: Callable[[], object]) -> None:
        """Schedule ``function`` to run in a greenlet, in a copy of the caller's context.

        ``function`` must not raise an Exception.
        """
        pooled = self._idle.pop() if self._idle else _PooledGreenlet(self._keep)
        pooled.function = function
        pooled.gr_context = copy_context()
        gevent.get_hub().loop.run_callback(pooled.switch)

    def _keep(self, pooled: "_PooledGreenlet") -> bool:
        if len(self._idle) >= self._max_idle:
            return False
        self._idle.append(pooled)
        return True


class _PooledGreenlet(greenlet):
    """Runs ``function`` each time the hub switches to it. After each run, the greenlet ends if ``keep`` returns False.

    If the greenlet is killed, it ends without calling ``keep``.
    """

    function: Callable[[], object]

    def __init__(self, keep: "Callable[[_PooledGreenlet], bool]") -> None:
        super().__init__(parent=gevent.get_hub())
        self._keep = keep

    def run(self) -> None:
        """Run one function after another."""
        self._run_function()
        while self._keep(self):
            gevent.get_hub().switch()
            self._run_function()

    def _run_function(self) -> None:
        function = self.function
        del self.function  # an idle greenlet must not keep the objects alive that the function refers to
        function()


def run_in_thread(function: Callable[[], T], threads: ThreadPool | None = None) -> T:
    """Call ``function`` in a thread and return its result or raise its exception. Other greenlets run meanwhile.

    ``threads`` is the thread pool to use, by default the pool of the hub.
    """
    pool = gevent.get_hub().threadpool if threads is None else threads
    result, error = pool.apply(_call, (function,))
    if error is None:
        return cast("T", result)
    try:
        raise error
    finally:
        del error  # its traceback refers to this frame, so the variable would be part of a reference cycle


def _call(function: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """Return the result of ``function`` and None, or None and the exception that it raised.

    If the thread raised the exception, gevent would print it even if the caller catches it.
    """
    try:
        return function(), None
    except Exception as error:  # noqa: BLE001 - run_in_thread raises it
        return None, error
