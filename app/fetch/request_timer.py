"""The timer of the requests for one page: how much time they may take together, and which host took how much."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
import requests

from app.domain.errors import TooSlow


class RequestTimer:
    """Limits the requests for one page, redirects and retries included, to ``limit`` seconds in all.

    Only time in which a request is in progress counts. Time in queues of this service does not. ``clock`` must be
    monotonic.
    """

    __slots__ = ("_clock", "_limit", "_seconds", "seconds_left")

    def __init__(self, limit: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds_left = limit
        self._limit = limit
        self._clock = clock
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @property
    def slowest_host(self) -> str:
        """The host whose requests took the most time."""
        return max(self._seconds, key=self._seconds.__getitem__)

    @contextmanager
    def limit(self, host: str) -> Iterator[None]:
        """Limit the request to ``host`` that is made in the ``with`` block to the seconds that are left.

        Raises:
            TooSlow: the limit is exceeded. The text names the host that took the most time, which need not be the host
                of this request.

        """
        started_at = self._clock()
        timer = gevent.Timeout.start_new(max(self.seconds_left, 0))
        try:
            yield
        except BaseException as error:
            self._count(host, started_at)
            if error is timer or isinstance(error, requests.Timeout):
                raise TooSlow(self._error_text()) from None
            raise
        else:
            self._count(host, started_at)
        finally:
            timer.close()
            # The timer may be the exception that was raised. Its traceback refers to this frame, which refers to the
            # timer: a reference cycle that would keep the page in memory.
            del timer

    def _count(self, host: str, started_at: float) -> None:
        seconds = self._clock() - started_at
        self._seconds[host] += seconds
        self.seconds_left -= seconds

    def _error_text(self) -> str:
        host = self.slowest_host
        if len(self._seconds) == 1:
            return f"{host} took longer than {self._limit:g} seconds"
        return f"{host} took {self._seconds[host]:.3g} of the {self._limit:g} seconds that the page may take"
