"""The observer interface: the events that modules report, for counters and tests.

A module reports an event by calling one method. A method of an observer must return quickly, must not switch greenlets
and must not raise, because the reporting code waits for it. Methods are called only in greenlets of the hub's thread.

Arguments are plain values. ``method`` is the name of a published method, or "" for a method that does not exist.
``outcome`` is a value of ``app.domain.records.Outcome``, or ``OVERLOADED``, ``INTERNAL_ERROR`` or ``NOT_MODIFIED`` of
that module. ``cache`` is a value of ``app.domain.records.CacheStatus``, or "" if there is no result.
"""

from collections.abc import Callable


class Observer:
    """Ignores every event. Subclasses override the methods for the events that they need."""

    def call_finished(self, method: str, fault: int | None, seconds: float) -> None:
        """Report an XML-RPC call: its fault code (None for success) and its duration."""

    def cached_response_counter(self, source: str, method: str) -> Callable[[], None]:  # noqa: ARG002 - for overrides
        """Return a function to be called for each response that is sent from the response cache.

        Such a response contains a cover of ``source``. It is the response to the XML-RPC method ``method``, or to a
        plain HTTP request if ``method`` is "". Neither ``call_finished`` nor ``lookup_finished`` is called for it.
        """
        return _do_nothing

    def lookup_finished(self, source: str, outcome: str, cache: str) -> None:
        """Report the result of one lookup, as its caller receives it."""

    def waiters_changed(self, change: int) -> None:
        """Report a change of the number of callers that wait for a flight."""

    def flights_changed(self, change: int) -> None:
        """Report a change of the number of flights in progress."""

    def flight_joined(self) -> None:
        """Report that a caller joined a flight that was already in progress."""

    def page_fetched(self, source: str, outcome: str, seconds: float) -> None:
        """Report one attempt to fetch a page: the outcome of reading the page, and the duration of the request."""

    def store_operation_failed(self) -> None:
        """Report that a store operation failed, or that a stored value could not be decoded."""

    def store_overloaded(self) -> None:
        """Report that a store operation did not start in time, because this worker has too many in progress."""

    def store_bypassed(self) -> None:
        """Report that the store is bypassed from now on."""

    def store_recovered(self) -> None:
        """Report that the store is used again."""

    def host_state_changed(self, host: str, circuit_open_for: float, throttled_for: float) -> None:
        """Report the state of a host: the seconds until its circuit closes, and until it is no longer throttled."""


def _do_nothing() -> None:
    """Do nothing."""


#: The observer for code that reports to nobody.
NULL_OBSERVER = Observer()
