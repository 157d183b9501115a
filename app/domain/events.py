"""The observer: who hears what happens in the rooms, and has no part in it.

Each room tells it by one call that says what, and no more. This one does nothing with it, so telling costs no more than
the call of an empty function; who wants to know overrides what it wants to hear. Callers wait meanwhile: it is to be
quick, not to let others run, and to raise nothing. It is called in the greenlets of the hub, never in another thread.

Names are texts: a method "" is one that nobody publishes, an outcome is one of ``app.domain.records.Outcome`` or
another of its words for what came of it, a cache is one of ``app.domain.records.CacheState``, or "" where there is no
answer.
"""

from collections.abc import Callable


class Observer:
    """Hears nothing."""

    def call_finished(self, method: str, fault: int | None, seconds: float) -> None:
        """A call was answered, with a fault of this code or, by None, without, so many seconds after it had come."""

    def cached_response_counter(self, source: str, method: str) -> Callable[[], None]:  # noqa: ARG002 - for those who hear
        """Return what is to be called each time that a cover of this source is answered with from memory once more.

        That answers a call of ``method``, of which ``called`` and ``looked_up`` are not told; where it is "", no call.
        """
        return _nothing

    def lookup_finished(self, source: str, outcome: str, cache: str) -> None:
        """Somebody who asked for an item of this source has been answered."""

    def waiters_changed(self, change: int) -> None:
        """So many callers more wait for a flight, or fewer."""

    def flights_changed(self, change: int) -> None:
        """So many flights more are under way, or fewer."""

    def flight_joined(self) -> None:
        """A caller has joined a flight that was under way."""

    def page_fetched(self, source: str, outcome: str, seconds: float) -> None:
        """An origin was asked for a page once, which took so many seconds; the outcome is what was read in it."""

    def store_operation_failed(self) -> None:
        """The store has failed, or had a value that is none."""

    def store_bypassed(self) -> None:
        """The store is left alone from now on."""

    def store_recovered(self) -> None:
        """The store is asked again from now on."""

    def host_state_changed(self, host: str, open_for: float, waits_for: float) -> None:
        """What is known now: the host's circuit is open, or it has asked to wait, for so many seconds more at most."""


def _nothing() -> None:
    """Do nothing."""


#: Where nobody listens.
NULL_OBSERVER = Observer()
