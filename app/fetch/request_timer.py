"""The timer of the requests for one page: it limits their total time, and records the time that each host took."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import gevent
import requests

from app.domain.errors import TooSlow

T = TypeVar("T")


class RequestTimer:
    """Limits the requests for one page, redirects and retries included, to ``limit`` seconds in all.

    Only the time during which a request is in progress counts. Time in queues of this service does not count. ``clock``
    must be monotonic.
    """

    __slots__ = ("_clock", "_limit", "_seconds", "seconds_left")

    def __init__(self, limit: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds_left = limit
        self._limit = limit
        self._clock = clock
        self._seconds: dict[str, float] = {}

    @property
    def slowest_host(self) -> str:
        """The host whose requests took the most time."""
        return max(self._seconds, key=self._seconds.__getitem__)

    def call(self, host: str, request: Callable[..., T], *args: Any) -> T:
        """Call ``request(*args)``, which sends a request to ``host``, and return the result.

        The call may take the seconds that are left.

        Raises:
            TooSlow: the request took longer. The message names the host that took the most time, which may be another
                host.

        """
        started_at = self._clock()
        timer = gevent.Timeout.start_new(max(self.seconds_left, 0))
        try:
            try:
                return request(*args)
            finally:
                seconds = self._clock() - started_at
                self.seconds_left -= seconds
                self._seconds[host] = self._seconds.get(host, 0.0) + seconds
        except (gevent.Timeout, requests.Timeout) as error:
            if error is timer or isinstance(error, requests.Timeout):
                raise TooSlow(self._error_text()) from None
            raise
        finally:
            timer.close()
            # The timer may be the exception that was raised. Its traceback refers to this frame, and this frame
            # refers to the timer. This reference cycle would keep the page in memory.
            del timer

    def _error_text(self) -> str:
        host = self.slowest_host
        if len(self._seconds) == 1:
            return f"{host} took longer than {self._limit:g} seconds"
        return f"{host} took {self._seconds[host]:.3g} of the {self._limit:g} seconds that the page may take"
