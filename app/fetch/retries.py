"""Retries: which failed request to an origin server is retried, how often, and within which time."""

import copy

from app.config.source import Source
from app.domain.errors import OriginDown


class RetryBudget:
    """The retries and the time that are left for one page.

    All attempts together may take ``source.timeout`` seconds; waiting for a slot of the host does not count.
    ``failure`` is the error of the latest attempt that may be retried.
    """

    __slots__ = ("_retries_left", "failure", "seconds_left")

    def __init__(self, source: Source) -> None:
        self.seconds_left: float = source.timeout
        self.failure: OriginDown | None = None
        self._retries_left = source.retries

    def allows_retry(self, error: Exception, seconds: float) -> bool:
        """Return whether an attempt that failed with ``error`` after ``seconds`` may be retried, and count the retry.

        Only OriginDown is retried: any other error is likely to be the same a moment later.
        """
        self.seconds_left -= seconds
        if not isinstance(error, OriginDown) or not self._retries_left or self.seconds_left <= 0:
            return False
        self._retries_left -= 1
        # A copy, without the traceback: that refers to the frame of the caller, which refers to this object. Such a
        # reference cycle would stay in memory until the garbage collector runs.
        self.failure = copy.copy(error)
        return True
