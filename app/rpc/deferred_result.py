"""A handle: a value on its way, which a published function may return in its place.

gevent's ``AsyncResult`` and ``Greenlet`` and the ``Future`` of concurrent.futures are such. A reader may rely on this:
however a handle ends, the one who waits for it gets a value or an ordinary ``Exception``.
"""

import concurrent.futures
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent import Greenlet, GreenletExit, Timeout
from gevent.event import AsyncResult

if TYPE_CHECKING:  # gevent's classes are generic in their stubs alone
    Handle = AsyncResult[Any] | Greenlet[..., Any] | concurrent.futures.Future[Any]

DEFERRED_TYPES: Final = (AsyncResult, Greenlet, concurrent.futures.Future)


def wait_for_result(handle: "Handle", seconds: float) -> Any:
    """Return the value of ``handle``, or raise its exception; wait for it at most so many ``seconds``.

    Raises ``TimeoutError`` when it is not there by then, and ``RuntimeError`` for an end that is neither value nor
    exception: the ``get`` of a greenlet that was killed *returns* a ``GreenletExit``.
    """
    _wait(handle, max(0.0, seconds))
    try:  # it has ended, so nothing switches here: what comes out is the handle's own, no kill of this greenlet
        value = handle.result() if isinstance(handle, concurrent.futures.Future) else handle.get(block=False)
    except (GreenletExit, Timeout) as end:
        raise RuntimeError(f"the handle ended in {end!r}") from end
    if isinstance(value, GreenletExit):
        raise RuntimeError("the greenlet behind the handle was killed")
    return value


def _wait(handle: "Handle", seconds: float) -> None:
    if isinstance(handle, concurrent.futures.Future):
        handle.exception(timeout=seconds)  # returned, not raised, unless it is that of a cancelled or a late one
    elif not handle.ready():
        gevent.wait((handle,), timeout=seconds)
        if not handle.ready():
            raise TimeoutError("the answer is not there in time")
