"""The health of one host: whether it is unavailable at present, and until when.

A host that responds with 429, or with 503 and Retry-After, gets no request until the wait is over. Each host also has a
circuit breaker. Consecutive failures open the circuit for some seconds. After that, the circuit is half-open, and the
requests for one page are a probe. A successful probe closes the circuit. A failed probe opens the circuit for longer.
Workers share the states of hosts through the store. They read the state of a host each time before they fetch a page
from the host.
"""

import logging
import math

import msgspec

from app.concurrency.clock import Clock
from app.domain.errors import LookupFailed, OriginDown, OriginFailed, Throttled, TooSlow
from app.domain.events import NULL_OBSERVER, Observer
from app.store.circuit_breaker import StoreNamespace

_log = logging.getLogger(__name__)

#: The number of consecutive failures that open the circuit of a host. It equals the default ``concurrency``. With a
#: lower threshold, a few bad pages that are fetched at once would open the circuit.
FAILURE_THRESHOLD = 8

#: How long the circuit is open, in seconds: the first time, and the maximum. The time doubles with each failed probe.
#: An origin server that has recovered gets requests again, at the latest, after the maximum plus the time of one page.
_MIN_OPEN_SECONDS, _MAX_OPEN_SECONDS = 1.0, 15.0

#: How long a circuit stays half-open if no probe is sent, in seconds. After that, the circuit counts as closed.
_HALF_OPEN_SECONDS = 60.0


class HostState(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=1):
    """The state of a host since ``changed_at``. The host gets no requests before ``unavailable_until``.

    ``trips`` is how many times in a row the circuit has opened, or 0 if the circuit is closed. ``is_throttled`` says
    whether the host asked to wait; the circuit is closed then. ``reason`` is the text of the error that callers get.
    Times are seconds since the epoch.
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


#: The state of a host about which nothing is known.
_AVAILABLE = HostState(changed_at=0.0)


class HostHealth:
    """The state of one host, shared by all workers, and the number of its consecutive failures in this worker.

    ``host`` is the authority of the host, for example ``shop.example:8080``. ``shared`` is the part of the store
    through which workers share the states of hosts.
    """

    def __init__(
        self, host: str, *, shared: StoreNamespace[HostState], clock: Clock, observer: Observer = NULL_OBSERVER
    ) -> None:
        self._host = host
        self._shared = shared
        self._clock = clock
        self._observer = observer
        self._state = _AVAILABLE
        #: The state that this worker last read from the store or wrote to the store.
        self._last_shared: HostState | None = None
        self._failures = 0

    def check(self) -> None:
        """Check that the host is available, according to the state in this worker.

        Raises:
            Throttled: the host asked to wait.
            OriginFailed: the circuit of the host is open, or a probe is in progress.

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
        """Check that the host is available, according to the state that all workers share.

        Returns whether the caller's requests are the probe of a half-open circuit.

        If the circuit is half-open, the caller's requests are the probe. They may take ``seconds``, and no other
        request is admitted during this time. Raises the same exceptions as ``check``.
        """
        self._refresh()
        self.check()
        now = self._clock()
        is_probe = self._state.is_open_or_half_open(now)
        if is_probe:
            self._set_state(msgspec.structs.replace(self._state, changed_at=now, unavailable_until=now + seconds))
        return is_probe

    def record_success(self, *, was_probe: bool) -> None:
        """Record that the host responds: reset the number of its failures, and close its circuit after a probe.

        ``was_probe`` is the result of ``admit``. The response to a request that was sent before the circuit opened does
        not close the circuit.
        """
        self._failures = 0
        now = self._clock()
        if self._state.trips and (was_probe or not self._state.is_open_or_half_open(now)):
            self._set_state(HostState(changed_at=now))
            _log.info("%s responds again, its circuit is closed", self._host, extra={"host": self._host})

    def record_throttled(self, error: Throttled, error_ttl: float) -> None:
        """Record that the host asked to wait. If it did not say how long, the wait is ``error_ttl`` seconds."""
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

    def record_failure(self, reason: str, *, was_probe: bool) -> None:
        """Record that all attempts at a page got no response or a 5xx status. This failure may open the circuit.

        ``was_probe`` is the result of ``admit``.
        """
        now, state = self._clock(), self._state
        if state.is_unavailable(now) and (state.is_throttled or not was_probe):
            return  # the request was sent before the host became unavailable, so its failure is nothing new
        if not was_probe:
            self._failures += 1
            if self._failures < FAILURE_THRESHOLD:
                return
        trips = state.trips + 1 if state.is_open_or_half_open(now) else 1
        open_seconds = min(_MIN_OPEN_SECONDS * 2 ** (trips - 1), _MAX_OPEN_SECONDS)
        self._failures = 0
        self._set_state(HostState(changed_at=now, unavailable_until=now + open_seconds, trips=trips, reason=reason))
        if trips == 1:
            _log.warning("%s fails, its circuit is open", self._host, extra={"host": self._host, "reason": reason})

    def record_error(self, error: LookupFailed, error_ttl: float, *, was_probe: bool) -> None:
        """Record what an error says about the host. Errors other than throttling and failures count as successes.

        ``error_ttl`` is the number of seconds to wait if a throttling host sent no Retry-After.
        """
        match error:
            case Throttled():
                self.record_throttled(error, error_ttl)
            case OriginDown() | TooSlow():
                self.record_failure(str(error), was_probe=was_probe)
            case _:
                self.record_success(was_probe=was_probe)

    def _refresh(self) -> None:
        """Update the state from the store, if another worker has changed it."""
        before = self._state
        shared = self._shared.get(self._host)
        if shared is None or shared == self._last_shared or self._state is not before:
            return
        now = self._clock()
        self._last_shared = shared
        # The clock of another machine may differ from this clock, so only the duration of the state is reliable.
        unavailable_until = min(shared.unavailable_until, now + shared.unavailable_until - shared.changed_at)
        if before.is_throttled and before.is_unavailable(now) and unavailable_until < before.unavailable_until:
            return  # the host asked this worker to wait longer
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
