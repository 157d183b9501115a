"""A map that runs in threads and yields the results in the order of the input.

``concurrent.futures`` is not suitable, because ``Executor.map`` reads all of its input before it yields a result, and
the interpreter waits for the threads of the pool when it exits. Greenlets are not suitable either, because monkey
patching would more than double the start-up time of a command, and reading standard input would block all greenlets.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from queue import Empty, Queue, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
Q = TypeVar("Q")

_IDLE_INTERVAL_SECONDS = 0.5


class _Task(Generic[T, R]):
    """An input item, and a queue that receives the result for the item or the exception that was raised instead."""

    __slots__ = ("item", "result")

    def __init__(self, item: T) -> None:
        self.item = item
        self.result = SimpleQueue[R | Exception]()


def map_in_order(
    items: Iterable[T],
    open_worker: Callable[[], AbstractContextManager[Callable[[T], R]]],
    *,
    max_workers: int,
    max_queued: int,
    on_idle: Callable[[], None],
) -> Iterator[R]:
    """Yield the result of each item, in the order of the items, as soon as it and all earlier results are available.

    One thread iterates over ``items``. Up to ``max_workers`` worker threads, but no more than there are items, compute
    the results. Each worker calls ``open_worker`` once. The context manager that it returns gives the function that
    maps an item to its result. At most ``max_queued`` tasks, pending and completed, are queued behind the task whose
    result is yielded next. ``on_idle`` is called twice a second while that result is not available.

    An exception that the function or ``items`` raises is raised here after the results of all earlier items.

    All threads are daemons, and tasks in progress cannot be cancelled. A caller that stops early should therefore exit
    the process.
    """
    ordered: Queue[_Task[T, R] | Exception | None] = Queue(max_queued)
    pending: SimpleQueue[_Task[T, R] | None] = SimpleQueue()

    def submit_all() -> None:
        workers = 0
        try:
            for item in items:
                task = _Task[T, R](item)
                ordered.put(task)
                pending.put(task)
                if workers < max_workers:
                    _start_thread(lambda: _run_worker(open_worker, pending))
                    workers += 1
        except Exception as error:  # noqa: BLE001 - it is raised again in the consumer
            ordered.put(error)
        ordered.put(None)
        for _ in range(workers):
            pending.put(None)

    _start_thread(submit_all)
    while (task := _get(ordered, on_idle)) is not None:
        result = task if isinstance(task, Exception) else _get(task.result, on_idle)
        if isinstance(result, Exception):
            raise result
        yield result


def _start_thread(target: Callable[[], None]) -> None:
    threading.Thread(target=target, daemon=True).start()


def _run_worker(
    open_worker: Callable[[], AbstractContextManager[Callable[[T], R]]], pending: SimpleQueue[_Task[T, R] | None]
) -> None:
    with open_worker() as function:
        while (task := pending.get()) is not None:
            task.result.put(_call(function, task.item))


def _call(function: Callable[[T], R], item: T) -> R | Exception:
    try:
        return function(item)
    except Exception as error:  # noqa: BLE001 - it is raised again in the consumer
        return error


def _get(queue: Queue[Q] | SimpleQueue[Q], on_idle: Callable[[], None]) -> Q:
    """Return the next entry of the queue. Call ``on_idle`` at intervals until an entry is available."""
    while True:
        try:
            return queue.get(timeout=_IDLE_INTERVAL_SECONDS)
        except Empty:
            on_idle()
