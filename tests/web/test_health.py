"""What makes a worker not ready."""

from app.store.base import Store, StoreError
from app.store.circuit_breaker import OPEN_SECONDS, CircuitBreakingStore
from app.telemetry.hub_lag import HubLagMonitor
from app.web.health import MAX_LAG, Health
from tests.store.dictionary import DictionaryStore
from tests.support.clock import ManualClock
from tests.support.empty_store import EmptyStore


class Down(EmptyStore):
    """A store that fails."""

    def get(self, key: str) -> bytes | None:
        raise StoreError("down")


class Worker:
    """A worker whose store, hub and server are as the test has them."""

    def __init__(self, store: Store | None) -> None:
        self.clock = ManualClock()
        self.store = CircuitBreakingStore(store, encode=str.encode, decode=bytes.decode, clock=self.clock)
        self.pulse = HubLagMonitor(self.clock)
        self.is_leaving = False
        self.health = Health(store=self.store, hub_lag=self.pulse, is_shutting_down=lambda: self.is_leaving)

    def answers(self) -> tuple[int, str]:
        """Return status and text of its readiness; that it lives it says in any case."""
        assert self.health.healthz({}).status == 200
        response = self.health.readyz({})
        return int(response.status), response.body.decode().rstrip()


def asked(store: Store | None) -> Worker:
    """Return a worker that has asked its store."""
    worker = Worker(store)
    worker.store.get("key")
    return worker


def test_it_is_ready_as_soon_as_its_store_has_answered() -> None:
    worker = Worker(DictionaryStore())
    assert worker.answers() == (503, "not ready: the store has not answered yet")
    worker.store.get("key")
    assert worker.answers() == (200, "ready")


def test_without_a_store_it_is_ready_at_once() -> None:
    assert Worker(None).answers() == (200, "ready")


def test_a_store_that_is_passed_over_is_no_obstacle() -> None:
    worker = asked(Down())
    assert worker.answers() == (200, "ready; the store is passed over")
    worker.clock.now += OPEN_SECONDS
    worker.store.invalidations("")
    assert worker.answers() == (200, "ready")


def test_a_hub_that_is_late_is_an_obstacle() -> None:
    worker = asked(None)
    worker.pulse.next_tick = worker.clock.now
    worker.clock.now += MAX_LAG
    assert worker.answers() == (200, "ready")
    worker.clock.now += 0.5
    assert worker.answers() == (503, "not ready: 1.5 seconds late with everything")


def test_all_obstacles_are_told() -> None:
    worker = Worker(DictionaryStore())
    worker.is_leaving = True
    assert worker.answers() == (503, "not ready: shutting down; the store has not answered yet")
