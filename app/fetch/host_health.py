"""The health of hosts: which hosts are unavailable at present, and until when.

A host that responds with 429, or with 503 and Retry-After, gets no request before that time. Each host also has a
circuit breaker: repeated failures open the circuit for some seconds. Then it is half-open: one trial request is sent,
which closes the circuit or opens it for longer. Workers share the states through the store, and read them before each
page.
"""

import logging
import math

import msgspec
from cachetools import LRUCache

from app.concurrency.clock import Clock
from app.domain.errors import LookupFailed, OriginDown, OriginFailed, Throttled, TooSlow
from app.domain.events import NULL_OBSERVER, Observer
from app.store.circuit_breaker import StoreNamespace

_log = logging.getLogger(__name__)

#: The number of consecutive failures that open the circuit of a host. It equals the default ``concurrency``; with a
#: lower threshold, a few bad pages that are fetched at once would open the circuit.
FAILURE_THRESHOLD = 8

#: How long the circuit is open, in seconds: the first time, and the maximum. The time doubles with each failed trial.
#: An origin server that has recovered gets requests after the maximum, plus the time of one page, at the latest.
_MIN_OPEN_SECONDS, _MAX_OPEN_SECONDS = 1.0, 15.0

#: How long a circuit stays half-open without a trial before it counts as closed, in seconds.
_HALF_OPEN_SECONDS = 60.0

#: The number of hosts whose state a worker keeps. There are few hosts, unless ids select them.
_MAX_HOSTS = 4096


class HostState(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=1):
    """The state of a host since ``changed_at``: it gets no requests before ``unavailable_until``.

    ``trips`` is how many times in a row the circuit has opened, 0 if it is closed. If it is closed, ``is_throttled``
    says whether the host asked to wait. ``reason`` is a text for callers. Times are seconds since the epoch.
    """

    changed_at: float
    unavailable_until: float = 0.0
    trips: int = 0
    is_throttled: bool = False
    reason: str = ""

    def is_unavailable(self, now: float) -> bool:
        """Return whether the host must not get requests at present."""
        return now < self.unavailable_until

    def is_open_or_half_open(self, now: float) -> bool:
        """Return whether the circuit is open or half-open."""
        return self.trips > 0 and now < self.unavailable_until + _HALF_OPEN_SECONDS


class HostHealth:
    """The states of hosts. A host is identified by its authority, ``host:port``.

    ``shared`` is the part of the store through which workers share the states.
    """

    def __init__(self, *, shared: StoreNamespace[HostState], clock: Clock, observer: Observer = NULL_OBSERVER) -> None:
        self._shared = shared
        self._clock = clock
        self._observer = observer
        self._states: LRUCache[str, HostState] = LRUCache(_MAX_HOSTS)
        #: The states that this worker read from the store last, or wrote to it.
        self._last_shared: LRUCache[str, HostState] = LRUCache(_MAX_HOSTS)
        self._failures: LRUCache[str, int] = LRUCache(_MAX_HOSTS)

    def check(self, host: str) -> None:
        """Check, by the state in this worker, that the host is available.

        Raises:
            Throttled: the host asked to wait.
            OriginFailed: its circuit is open.

        """
        state = self._states.get(host)
        if state is not None:
            self._check_state(state, self._clock())

    def admit(self, host: str, seconds: float) -> bool:
        """Check, by the state that all workers share, that the host is available; return whether this is a trial.

        If the circuit is half-open, the caller's request is the trial. It may take ``seconds``, in which no other
        request is admitted. Raises as ``check`` does.
        """
        state = self._refresh(host)
        if state is None:
            return False
        now = self._clock()
        self._check_state(state, now)
        if not state.is_open_or_half_open(now):
            return False
        self._set_state(host, msgspec.structs.replace(state, changed_at=now, unavailable_until=now + seconds))
        return True

    def record_success(self, host: str) -> None:
        """Record that the host responds: reset its failures and close its circuit."""
        self._failures.pop(host, None)
        state = self._states.get(host)
        if state is not None and state.trips:
            self._set_state(host, HostState(changed_at=self._clock()))
            _log.info("%s responds again, its circuit is closed", host, extra={"host": host})

    def record_retry_after(self, host: str, seconds: float, reason: str) -> None:
        """Record that the host asked to wait for ``seconds``."""
        self._failures.pop(host, None)
        now = self._clock()
        state = self._states.get(host)
        if state is None or not (state.is_throttled and state.is_unavailable(now)):
            fields = {"host": host, "seconds": round(seconds, 3), "reason": reason}
            _log.warning("%s throttles requests", host, extra=fields)
        if state is None or not state.is_throttled or state.unavailable_until < now + seconds:
            self._set_state(
                host, HostState(changed_at=now, unavailable_until=now + seconds, is_throttled=True, reason=reason)
            )

    def record_failure(self, host: str, reason: str, *, was_trial: bool) -> None:
        """Record that a page, with all its retries, got no response or a 5xx. The failure may open the circuit.

        ``was_trial`` is the result of ``admit``.
        """
        now = self._clock()
        state = self._states.get(host)
        if state is not None and state.is_unavailable(now) and (state.is_throttled or not was_trial):
            return  # the request was sent before the host became unavailable, so its failure is nothing new
        if not was_trial:
            self._failures[host] = failures = self._failures.get(host, 0) + 1
            if failures < FAILURE_THRESHOLD:
                return
        trips = state.trips + 1 if state is not None and state.is_open_or_half_open(now) else 1
        open_seconds = min(_MIN_OPEN_SECONDS * 2 ** (trips - 1), _MAX_OPEN_SECONDS)
        self._failures.pop(host, None)
        self._set_state(
            host, HostState(changed_at=now, unavailable_until=now + open_seconds, trips=trips, reason=reason)
        )
        if trips == 1:
            _log.warning("%s fails, its circuit is open", host, extra={"host": host, "reason": reason})

    def record_error(self, host: str, error: LookupFailed, error_ttl: float, *, was_trial: bool) -> None:
        """Record what an error says about the host: throttled, failed, or, by any other response, successful.

        ``error_ttl`` is how many seconds to wait for a host that throttles without Retry-After.
        """
        match error:
            case Throttled():
                self.record_retry_after(host, error.retry_after or error_ttl, str(error))
            case OriginDown() | TooSlow():
                self.record_failure(host, str(error), was_trial=was_trial)
            case _:
                self.record_success(host)

    def _check_state(self, state: HostState, now: float) -> None:
        if not state.is_unavailable(now):
            return
        remaining = state.unavailable_until - now
        if state.is_throttled:
            raise Throttled(state.reason, remaining)
        raise OriginFailed(f"{state.reason}; it is tried again in {math.ceil(remaining)} seconds", remaining)

    def _refresh(self, host: str) -> HostState | None:
        """Update the state of a host from the store, if another worker has changed it, and return it."""
        before = self._states.get(host)
        shared = self._shared.get(host)
        current = self._states.get(host)
        if shared is None or shared == self._last_shared.get(host) or current is not before:
            return current
        now = self._clock()
        self._last_shared[host] = shared
        # The clock of another machine may differ from this one, so only the duration of the state is reliable.
        unavailable_until = min(shared.unavailable_until, now + shared.unavailable_until - shared.changed_at)
        if (
            current is not None
            and current.is_throttled
            and current.is_unavailable(now)
            and unavailable_until < current.unavailable_until
        ):
            return current  # the host asked this worker to wait for longer
        self._states[host] = state = msgspec.structs.replace(shared, unavailable_until=unavailable_until)
        self._notify_observer(host, state, now)
        return state

    def _set_state(self, host: str, state: HostState) -> None:
        self._states[host] = self._last_shared[host] = state
        self._notify_observer(host, state, state.changed_at)
        lifetime = max(state.unavailable_until - state.changed_at, 0) + _HALF_OPEN_SECONDS
        self._shared.put(host, state, lifetime=lifetime)

    def _notify_observer(self, host: str, state: HostState, now: float) -> None:
        remaining = state.unavailable_until - now
        open_seconds = max(remaining + _HALF_OPEN_SECONDS, 0.0) if state.trips else 0.0
        self._observer.host_state_changed(host, open_seconds, max(remaining, 0.0) if state.is_throttled else 0.0)
