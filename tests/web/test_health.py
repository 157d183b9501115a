"""Health checks: when a worker is ready, and the reasons why it is not."""

from app.store.base import Store, StoreError
from app.store.circuit_breaker import OPEN_SECONDS, CircuitBreakingStore
from app.telemetry.hub_lag import HubLagMonitor
from app.web.health import MAX_LAG, Health
from tests.store.dictionary import DictionaryStore
from tests.support.clock import ManualClock
from tests.support.empty_store import EmptyStore


class FailingStore(EmptyStore):
    """A store whose reads fail."""

    def get(self, key: str) -> bytes | None:
        raise StoreError("down")


class Worker:
    """The health endpoints of a worker whose store, hub lag and shutdown state the test controls."""

    def __init__(self, store: Store | None) -> None:
        self.clock = ManualClock()
        self.store = CircuitBreakingStore(store, encode=str.encode, decode=bytes.decode, clock=self.clock)
        self.hub_lag = HubLagMonitor(self.clock)
        self.is_shutting_down = False
        self.health = Health(store=self.store, hub_lag=self.hub_lag, is_shutting_down=lambda: self.is_shutting_down)

    def readiness(self) -> tuple[int, str]:
        """Return the status and the text of /readyz; /healthz must be 200 in any case."""
        assert self.health.healthz({}).status == 200
        response = self.health.readyz({})
        return int(response.status), response.body.decode().rstrip()


def started_worker(store: Store | None) -> Worker:
    """Return a worker that has used its store."""
    worker = Worker(store)
    worker.store.read("key", bytes.decode)
    return worker


def test_a_worker_is_ready_once_its_store_has_answered() -> None:
    worker = Worker(DictionaryStore())
    assert worker.readiness() == (503, "not ready: the store has not answered yet")
    worker.store.read("key", bytes.decode)
    assert worker.readiness() == (200, "ready")


def test_a_worker_without_a_store_is_ready_at_once() -> None:
    assert Worker(None).readiness() == (200, "ready")


def test_a_worker_with_a_bypassed_store_is_ready() -> None:
    worker = started_worker(FailingStore())
    assert worker.readiness() == (200, "ready; the store is bypassed")
    worker.clock.now += OPEN_SECONDS
    worker.store.invalidations("")
    assert worker.readiness() == (200, "ready")


def test_a_worker_whose_hub_lags_is_not_ready() -> None:
    worker = started_worker(None)
    worker.hub_lag.next_tick = worker.clock.now
    worker.clock.now += MAX_LAG
    assert worker.readiness() == (200, "ready")
    worker.clock.now += 0.5
    assert worker.readiness() == (503, "not ready: the event loop lags by 1.5 seconds")


def test_all_problems_are_reported() -> None:
    worker = Worker(DictionaryStore())
    worker.is_shutting_down = True
    assert worker.readiness() == (503, "not ready: shutting down; the store has not answered yet")
