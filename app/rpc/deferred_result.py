"""Deferred results: objects that a published function may return before its result is available.

These are gevent's ``AsyncResult`` and ``Greenlet``, and ``concurrent.futures.Future``.
"""

import concurrent.futures
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent import Greenlet, GreenletExit, Timeout
from gevent.event import AsyncResult

if TYPE_CHECKING:  # gevent's classes are generic only in their stubs
    Deferred = AsyncResult[Any] | Greenlet[..., Any] | concurrent.futures.Future[Any]

DEFERRED_TYPES: Final = (AsyncResult, Greenlet, concurrent.futures.Future)


def wait_for_result(deferred: "Deferred", timeout: float) -> Any:
    """Return the result of ``deferred``, or raise its exception. Wait at most ``timeout`` seconds for it.

    Raises ``TimeoutError`` if it is not ready by then. Raises ``RuntimeError`` if it ended with ``GreenletExit`` or
    ``gevent.Timeout``, which are not subclasses of ``Exception`` and would end the waiting greenlet.
    """
    _wait_until_ready(deferred, max(0.0, timeout))
    try:  # It is ready, so no greenlet switch happens here: a GreenletExit is its result, not a kill of this greenlet.
        value = deferred.result() if isinstance(deferred, concurrent.futures.Future) else deferred.get(block=False)
    except (GreenletExit, Timeout) as error:
        raise RuntimeError(f"the deferred result ended with {error!r}") from error
    if isinstance(value, GreenletExit):  # get() of a killed greenlet returns the GreenletExit
        raise RuntimeError("the greenlet of the deferred result was killed")
    return value


def _wait_until_ready(deferred: "Deferred", timeout: float) -> None:
    if isinstance(deferred, concurrent.futures.Future):
        deferred.exception(timeout=timeout)  # returns the exception; raises only TimeoutError and CancelledError
    elif not deferred.ready():
        gevent.wait((deferred,), timeout=timeout)
        if not deferred.ready():
            raise TimeoutError("the result was not ready before the deadline")
