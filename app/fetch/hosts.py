"""The hosts that pages are fetched from. Each host has a limiter (``HostLimiter``) and a health (``HostHealth``)."""

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

#: A worker with this many hosts drops idle hosts. It has that many only if the hosts of the pages depend on the item
#: ids.
_MAX_HOSTS = 4096


class Host:
    """One host with its limiter and its health. ``name`` is the authority in the URLs of the host."""

    def __init__(self, name: str, limiter: HostLimiter, health: HostHealth) -> None:
        self.name = name
        self._limiter = limiter
        self._health = health

    @property
    def is_idle(self) -> bool:
        """Whether no request to the host is waiting or in progress."""
        return self._limiter.is_idle

    def acquire(self, source: Source, deadline: Deadline, seconds: float) -> "HostSlot":
        """Wait until a slot of the host is free and the delay has passed, and return the slot.

        ``seconds`` is the maximum duration of the requests that the caller will send.

        Raises:
            Throttled: the host asked to wait.
            OriginFailed: the circuit of the host is open, or a probe is in progress.
            Overloaded: the queue is full.
            QueueTimeout: no slot became free before the deadline.

        """
        self._health.check()  # avoids a useless wait if the host is unavailable already
        release = self._limiter.acquire(
            concurrency=source.concurrency, delay=source.delay, deadline=deadline, check=self._health.check
        )
        try:
            is_probe = self._health.admit(seconds)
        except BaseException:
            release()
            raise
        return HostSlot(self.name, self._health, release, source.error_ttl, is_probe=is_probe)

    def record_throttled(self, error: Throttled, error_ttl: float) -> None:
        """Record that the content of a page asked to wait."""
        self._health.record_throttled(error, error_ttl)


class HostSlot:
    """The permission to send requests to ``host``, one after the other, until ``release`` is called."""

    __slots__ = ("_error_ttl", "_health", "_is_probe", "_release", "host")

    def __init__(
        self, host: str, health: HostHealth, release: Callable[[], None], error_ttl: float, *, is_probe: bool
    ) -> None:
        self.host = host
        self._health = health
        self._release = release
        self._error_ttl = error_ttl
        self._is_probe = is_probe

    def record_success(self) -> None:
        """Record that the host responded."""
        self._health.record_success(was_probe=self._is_probe)

    def record_error(self, error: LookupFailed) -> None:
        """Record what the error of a request says about the host. This method may be called after ``release``."""
        self._health.record_error(error, self._error_ttl, was_probe=self._is_probe)

    def release(self) -> None:
        """Release the slot. Must be called exactly once."""
        self._release()


class Hosts:
    """The hosts by name. All hosts share the ``concurrency`` slots of this worker.

    At most ``max_waiting`` callers may wait for one host. ``clock`` must not jump. Deadlines are times of this clock.
    ``shared`` is the part of the store through which workers share the states of hosts.
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
        """Make room for one more host. The idle hosts that were used least recently are dropped."""
        excess = len(self._hosts) - _MAX_HOSTS + 1
        if excess > 0:
            idle = (name for name, host in self._hosts.items() if host.is_idle)
            for name in list(islice(idle, excess)):
                del self._hosts[name]
