"""What is known of hosts: which of them are not to be asked at present, and until when.

A host that asks to wait (429, or 503 with Retry-After) is not asked before that time. One that fails again and again is
left alone for a while, then tried by one caller, then left alone for longer: a circuit breaker. What one worker learns
the others know through the store, before their next page.
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

#: So many failures in a row, with no answer in between, open the circuit of a host. Fewer would close a shop for a few
#: bad pages; as many are under way at once by default.
FAILURE_THRESHOLD = 8

#: How long the circuit is open, in seconds, the first time and at most; it doubles in between. An origin that recovers
#: is asked again within the latter and the time of one page.
_FIRST_PAUSE, _LAST_PAUSE = 1.0, 15.0

#: An open circuit that nobody has tried again for so many seconds is as good as closed.
_UNTRIED_SECONDS = 60.0

#: Of so many hosts it is kept in a worker: there are few, unless ids name them.
_MOST_HOSTS = 4096


class HostState(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=1):
    """What is known of a host since ``changed_at``: it is not to be asked before ``closed_until``.

    ``trips`` says how often in a row its circuit has opened, 0 if it is closed; then ``is_throttled`` says whether the
    host asked to wait. ``reason`` is a text for callers. Times are seconds since the epoch.
    """

    changed_at: float
    unavailable_until: float = 0.0
    trips: int = 0
    is_throttled: bool = False
    reason: str = ""

    def is_unavailable(self, now: float) -> bool:
        """Tell whether the host is not to be asked."""
        return now < self.unavailable_until

    def has_tripped(self, now: float) -> bool:
        """Tell whether its circuit is open, or is to be tried: what nobody has tried for long is as good as closed."""
        return self.trips > 0 and now < self.unavailable_until + _UNTRIED_SECONDS


class HostHealth:
    """The states of hosts by ``host:port``."""

    def __init__(self, *, shared: StoreNamespace[HostState], clock: Clock, observer: Observer = NULL_OBSERVER) -> None:
        self._shelf = shared
        self._clock = clock
        self._observer = observer
        self._states: LRUCache[str, HostState] = LRUCache(_MOST_HOSTS)
        self._shared: LRUCache[str, HostState] = LRUCache(_MOST_HOSTS)
        self._failures: LRUCache[str, int] = LRUCache(_MOST_HOSTS)

    def check(self, host: str) -> None:
        """Look, by what this worker knows, whether the host may be asked.

        Raises:
            Throttled: it asked to wait.
            OriginFailed: its circuit is open.

        """
        state = self._states.get(host)
        if state is not None:
            self._check(state, self._clock())

    def admit(self, host: str, seconds: float) -> bool:
        """Look, by what all workers know, whether the host may be asked; tell whether this is the one who tries it.

        The one who tries a host whose circuit was open has ``seconds`` for that; nobody else is admitted meanwhile.
        Raises as ``check`` does.
        """
        state = self._newest(host)
        if state is None:
            return False
        now = self._clock()
        self._check(state, now)
        if not state.has_tripped(now):
            return False
        self._change(host, msgspec.structs.replace(state, changed_at=now, unavailable_until=now + seconds))
        return True

    def record_success(self, host: str) -> None:
        """Remember that the host answers."""
        self._failures.pop(host, None)
        state = self._states.get(host)
        if state is not None and state.trips:
            self._change(host, HostState(changed_at=self._clock()))
            _log.info("%s answers again, its circuit is closed", host, extra={"host": host})

    def record_retry_after(self, host: str, seconds: float, reason: str) -> None:
        """Remember that the host is not to be asked for so many seconds."""
        self._failures.pop(host, None)
        now = self._clock()
        state = self._states.get(host)
        if state is None or not (state.is_throttled and state.is_unavailable(now)):
            fields = {"host": host, "seconds": round(seconds, 3), "reason": reason}
            _log.warning("%s asks to be left alone", host, extra=fields)
        if state is None or not state.is_throttled or state.unavailable_until < now + seconds:
            self._change(
                host, HostState(changed_at=now, unavailable_until=now + seconds, is_throttled=True, reason=reason)
            )

    def record_failure(self, host: str, reason: str, *, was_trial: bool) -> None:
        """Remember that a visit with all its tries had no answer, or a 5xx. ``was_trial`` is what ``admit`` told."""
        now = self._clock()
        state = self._states.get(host)
        if state is not None and state.is_unavailable(now) and (state.is_throttled or not was_trial):
            return  # it was begun before that, and says nothing new
        if not was_trial:
            self._failures[host] = failures = self._failures.get(host, 0) + 1
            if failures < FAILURE_THRESHOLD:
                return
        trips = state.trips + 1 if state is not None and state.has_tripped(now) else 1
        pause = min(_FIRST_PAUSE * 2 ** (trips - 1), _LAST_PAUSE)
        self._failures.pop(host, None)
        self._change(host, HostState(changed_at=now, unavailable_until=now + pause, trips=trips, reason=reason))
        if trips == 1:
            _log.warning("%s fails, its circuit is open", host, extra={"host": host, "reason": reason})

    def record_error(self, host: str, error: LookupFailed, error_ttl: float, *, was_trial: bool) -> None:
        """Remember what an error says of the host; ``error_ttl`` is how long to wait where it does not say."""
        match error:
            case Throttled():
                self.record_retry_after(host, error.retry_after or error_ttl, str(error))
            case OriginDown() | TooSlow():
                self.record_failure(host, str(error), was_trial=was_trial)
            case _:
                self.record_success(host)

    def _check(self, state: HostState, now: float) -> None:
        if not state.is_unavailable(now):
            return
        left = state.unavailable_until - now
        if state.is_throttled:
            raise Throttled(state.reason, left)
        raise OriginFailed(f"{state.reason}; it is tried again in {math.ceil(left)} seconds", left)

    def _newest(self, host: str) -> HostState | None:
        """Return what is known of the host here, or what another worker has told since."""
        before = self._states.get(host)
        shared = self._shelf.get(host)
        known = self._states.get(host)
        if shared is None or shared == self._shared.get(host) or known is not before:
            return known
        now = self._clock()
        self._shared[host] = shared
        # Of what another machine's clock says, only how long it lasts is certain.
        until = min(shared.unavailable_until, now + shared.unavailable_until - shared.changed_at)
        if known is not None and known.is_throttled and known.is_unavailable(now) and until < known.unavailable_until:
            return known  # the host has asked for longer here, and nothing but time ends that
        self._states[host] = state = msgspec.structs.replace(shared, unavailable_until=until)
        self._tell(host, state, now)
        return state

    def _change(self, host: str, state: HostState) -> None:
        self._states[host] = self._shared[host] = state
        self._tell(host, state, state.changed_at)
        self._shelf.put(host, state, lifetime=max(state.unavailable_until - state.changed_at, 0) + _UNTRIED_SECONDS)

    def _tell(self, host: str, state: HostState, now: float) -> None:
        left = state.unavailable_until - now
        open_for = max(left + _UNTRIED_SECONDS, 0.0) if state.trips else 0.0
        self._observer.host_state_changed(host, open_for, max(left, 0.0) if state.is_throttled else 0.0)
