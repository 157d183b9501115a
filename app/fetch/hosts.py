"""The hosts that pages are fetched from: each has its queue, its slots, its delay, and its health, circuit included."""

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

from app.concurrency.clock import Clock
from app.concurrency.deadline import Deadline
from app.config.source import Source
from app.domain.errors import LookupFailed, Throttled
from app.domain.events import NULL_OBSERVER, Observer
from app.fetch.host_health import HostHealth, HostState
from app.fetch.host_limiter import HostLimiter
from app.fetch.process_semaphore import ProcessSemaphore
from app.fetch.worker_limiter import WorkerLimiter
from app.store.circuit_breaker import StoreNamespace

#: The number of hosts that a worker keeps. There are few hosts, unless ids select them.
_MAX_HOSTS = 4096


class Host:
    """One host, and all that a worker knows about it. ``name`` is its authority, ``host:port``."""

    def __init__(self, name: str, limiter: HostLimiter, health: HostHealth) -> None:
        self.name = name
        self._limiter = limiter
        self._health = health

    @property
    def is_idle(self) -> bool:
        """Whether no request to the host is waiting or in progress."""
        return self._limiter.is_idle

    def acquire(self, source: Source, deadline: Deadline, seconds: float) -> "HostSlot":
        """Return a slot of the host, when one is free and the delay has passed, if the host is available.

        ``seconds`` is how long the request may take.

        Raises:
            Throttled: the host asked to wait.
            OriginFailed: its circuit is open.
            Overloaded: the queue is full, or (QueueTimeout) no slot became free before the deadline.

        """
        self._health.check()  # checked again with a slot; this check avoids a useless wait for one
        release = self._limiter.acquire(
            concurrency=source.concurrency, delay=source.delay, deadline=deadline, check=self._health.check
        )
        try:
            is_trial = self._health.admit(seconds)
        except BaseException:
            release()
            raise
        return HostSlot(self.name, self._health, release, source.error_ttl, is_trial=is_trial)

    def record_throttled(self, error: Throttled, error_ttl: float) -> None:
        """Record that the host asked to wait, as the content of a page says."""
        self._health.record_throttled(error, error_ttl)


class HostSlot:
    """The permission to send one request after the other to ``host``, until ``release``."""

    __slots__ = ("_error_ttl", "_health", "_is_trial", "_release", "host")

    def __init__(
        self, host: str, health: HostHealth, release: Callable[[], None], error_ttl: float, *, is_trial: bool
    ) -> None:
        self.host = host
        self._health = health
        self._release = release
        self._error_ttl = error_ttl
        self._is_trial = is_trial

    def record_success(self) -> None:
        """Record that the host responds."""
        self._health.record_success(was_trial=self._is_trial)

    def record_error(self, error: LookupFailed) -> None:
        """Record what the error of a request says about the host. It may be called after ``release``."""
        self._health.record_error(error, self._error_ttl, was_trial=self._is_trial)

    def release(self) -> None:
        """Release the slot. Must be called once."""
        self._release()


class Hosts:
    """The hosts by name. All of them share the ``concurrency`` slots of this worker.

    At most ``max_waiting`` callers may wait for one host. ``clock`` must not jump; deadlines are its times. ``shared``
    is the part of the store through which workers share the states of hosts.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        max_waiting: int,
        semaphore: ProcessSemaphore,
        shared: StoreNamespace[HostState],
        clock: Clock,
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._worker_limiter = WorkerLimiter(concurrency)
        self._max_waiting = max_waiting
        self._semaphore = semaphore
        self._shared = shared
        self._clock = clock
        self._observer = observer
        self._hosts: OrderedDict[str, Host] = OrderedDict()

    def __len__(self) -> int:
        return len(self._hosts)

    def __getitem__(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None:
            self._drop_idle_hosts()
            limiter = HostLimiter(
                name,
                worker_limiter=self._worker_limiter,
                semaphore=self._semaphore,
                max_waiting=self._max_waiting,
                clock=self._clock,
            )
            health = HostHealth(name, shared=self._shared, clock=self._clock, observer=self._observer)
            host = self._hosts[name] = Host(name, limiter, health)
        self._hosts.move_to_end(name)
        return host

    def _drop_idle_hosts(self) -> None:
        """Make room for one more host: drop the idle hosts that were used least recently."""
        excess = len(self._hosts) - _MAX_HOSTS + 1
        if excess > 0:
            idle = (name for name, host in self._hosts.items() if host.is_idle)
            for name in list(islice(idle, excess)):
                del self._hosts[name]
