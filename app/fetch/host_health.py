"""The health of one host: whether it is unavailable at present, and until when.

A host that responds with 429, or with 503 and Retry-After, gets no request before that time. Each host also has a
circuit breaker: repeated failures open the circuit for some seconds. Then it is half-open: one trial request is sent,
which closes the circuit or opens it for longer. Workers share the states through the store, and read them before each
page.
"""

import logging
import math

import msgspec

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


#: The state of a host of which nothing is known.
_AVAILABLE = HostState(changed_at=0.0)


class HostHealth:
    """The state of one host, shared by all workers, and the number of its consecutive failures in this worker.

    ``host`` is its authority, ``host:port``. ``shared`` is the part of the store through which workers share the
    states of hosts.
    """

    def __init__(
        self, host: str, *, shared: StoreNamespace[HostState], clock: Clock, observer: Observer = NULL_OBSERVER
    ) -> None:
        self._host = host
        self._shared = shared
        self._clock = clock
        self._observer = observer
        self._state = _AVAILABLE
        #: The state that this worker read from the store last, or wrote to it.
        self._last_shared: HostState | None = None
        self._failures = 0

    def check(self) -> None:
        """Check, by the state in this worker, that the host is available.

        Raises:
            Throttled: the host asked to wait.
            OriginFailed: its circuit is open.

        """
        state = self._state
        if state is _AVAILABLE:
            return
        remaining = state.unavailable_until - self._clock()
        if remaining <= 0:
            return
        if state.is_throttled:
            raise Throttled(state.reason, remaining)
        raise OriginFailed(f"{state.reason}; it is tried again in {math.ceil(remaining)} seconds", remaining)

    def admit(self, seconds: float) -> bool:
        """Check, by the state that all workers share, that the host is available; return whether this is a trial.

        If the circuit is half-open, the caller's request is the trial. It may take ``seconds``, in which no other
        request is admitted. Raises as ``check`` does.
        """
        self._refresh()
        self.check()
        now = self._clock()
        is_trial = self._state.is_open_or_half_open(now)
        if is_trial:
            self._set_state(msgspec.structs.replace(self._state, changed_at=now, unavailable_until=now + seconds))
        return is_trial

    def record_success(self, *, was_trial: bool) -> None:
        """Record that the host responds: reset its failures, and close its circuit if the request was the trial.

        Any other request was sent before the circuit opened. ``was_trial`` is the result of ``admit``.
        """
        self._failures = 0
        now = self._clock()
        if self._state.trips and (was_trial or not self._state.is_open_or_half_open(now)):
            self._set_state(HostState(changed_at=now))
            _log.info("%s responds again, its circuit is closed", self._host, extra={"host": self._host})

    def record_throttled(self, error: Throttled, error_ttl: float) -> None:
        """Record that the host asked to wait, for ``error_ttl`` seconds if it did not say how long."""
        self._failures = 0
        now = self._clock()
        state, seconds, reason = self._state, error.retry_after or error_ttl, str(error)
        if not (state.is_throttled and state.is_unavailable(now)):
            fields = {"host": self._host, "seconds": round(seconds, 3), "reason": reason}
            _log.warning("%s throttles requests", self._host, extra=fields)
        if not state.is_throttled or state.unavailable_until < now + seconds:
            self._set_state(
                HostState(changed_at=now, unavailable_until=now + seconds, is_throttled=True, reason=reason)
            )

    def record_failure(self, reason: str, *, was_trial: bool) -> None:
        """Record that a page, with all its retries, got no response or a 5xx. The failure may open the circuit.

        ``was_trial`` is the result of ``admit``.
        """
        now, state = self._clock(), self._state
        if state.is_unavailable(now) and (state.is_throttled or not was_trial):
            return  # the request was sent before the host became unavailable, so its failure is nothing new
        if not was_trial:
            self._failures += 1
            if self._failures < FAILURE_THRESHOLD:
                return
        trips = state.trips + 1 if state.is_open_or_half_open(now) else 1
        open_seconds = min(_MIN_OPEN_SECONDS * 2 ** (trips - 1), _MAX_OPEN_SECONDS)
        self._failures = 0
        self._set_state(HostState(changed_at=now, unavailable_until=now + open_seconds, trips=trips, reason=reason))
        if trips == 1:
            _log.warning("%s fails, its circuit is open", self._host, extra={"host": self._host, "reason": reason})

    def record_error(self, error: LookupFailed, error_ttl: float, *, was_trial: bool) -> None:
        """Record what an error says about the host: throttled, failed, or, by any other response, successful.

        ``error_ttl`` is how many seconds to wait for a host that throttles without Retry-After.
        """
        match error:
            case Throttled():
                self.record_throttled(error, error_ttl)
            case OriginDown() | TooSlow():
                self.record_failure(str(error), was_trial=was_trial)
            case _:
                self.record_success(was_trial=was_trial)

    def _refresh(self) -> None:
        """Update the state from the store, if another worker has changed it."""
        before = self._state
        shared = self._shared.get(self._host)
        if shared is None or shared == self._last_shared or self._state is not before:
            return
        now = self._clock()
        self._last_shared = shared
        # The clock of another machine may differ from this one, so only the duration of the state is reliable.
        unavailable_until = min(shared.unavailable_until, now + shared.unavailable_until - shared.changed_at)
        if before.is_throttled and before.is_unavailable(now) and unavailable_until < before.unavailable_until:
            return  # the host asked this worker to wait for longer
        self._state = msgspec.structs.replace(shared, unavailable_until=unavailable_until)
        self._notify_observer(self._state, now)

    def _set_state(self, state: HostState) -> None:
        self._state = self._last_shared = state
        self._notify_observer(state, state.changed_at)
        lifetime = max(state.unavailable_until - state.changed_at, 0) + _HALF_OPEN_SECONDS
        self._shared.put(self._host, state, lifetime=lifetime)

    def _notify_observer(self, state: HostState, now: float) -> None:
        remaining = state.unavailable_until - now
        open_seconds = max(remaining + _HALF_OPEN_SECONDS, 0.0) if state.trips else 0.0
        self._observer.host_state_changed(self._host, open_seconds, max(remaining, 0.0) if state.is_throttled else 0.0)
