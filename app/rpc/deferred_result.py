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
    """Wait at most ``timeout`` seconds for ``deferred``. Return its result, or raise its exception.

    Raises ``TimeoutError`` if ``deferred`` is not ready after ``timeout`` seconds. Raises ``RuntimeError`` if
    ``deferred`` ended with ``GreenletExit`` or ``gevent.Timeout``. These are not subclasses of ``Exception`` and would
    end the waiting greenlet.
    """
    _wait_until_ready(deferred, max(0.0, timeout))
    try:
        # The result is ready, so this call does not switch greenlets. A GreenletExit raised here comes from
        # ``deferred``; this greenlet has not been killed.
        value = deferred.result() if isinstance(deferred, concurrent.futures.Future) else deferred.get(block=False)
    except (GreenletExit, Timeout) as error:
        raise RuntimeError(f"the deferred result ended with {error!r}") from error
    if isinstance(value, GreenletExit):  # get() of a killed greenlet returns the GreenletExit
        raise RuntimeError("the greenlet that computes the result was killed")
    return value


def _wait_until_ready(deferred: "Deferred", timeout: float) -> None:
    if isinstance(deferred, concurrent.futures.Future):
        # Used to wait: unlike result(), exception() returns the function's exception instead of raising it.
        deferred.exception(timeout=timeout)
    elif not deferred.ready():
        gevent.wait((deferred,), timeout=timeout)
        if not deferred.ready():
            raise TimeoutError("the result was not ready before the deadline")
