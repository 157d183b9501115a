"""Tests of leases: renewed while a block runs, and released at its end."""

import gevent
import pytest

from app.store import lease as lease_module
from app.store.base import Entry
from app.store.circuit_breaker import CircuitBreakingStore
from app.store.lease import LEASE_SECONDS, Lease, new_token
from tests.store.dictionary import DictionaryStore
from tests.store.test_circuit_breaker import with_breaker


class RecordingStore(DictionaryStore):
    """A store that records the renewals and the releases of leases."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str, str]] = []

    def renew_lease(self, key: str, token: str, seconds: float) -> bool:
        assert seconds == LEASE_SECONDS
        self.calls.append(("renew", key, token))
        return super().renew_lease(key, token, seconds)

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        self.calls.append(("release" if entry is None else "settle", key, token))
        return super().settle(key, token, entry, purge_number)


@pytest.fixture
def store() -> RecordingStore:
    return RecordingStore()


@pytest.fixture
def breaker(store: RecordingStore, monkeypatch: pytest.MonkeyPatch) -> CircuitBreakingStore[str]:
    """The store behind its circuit breaker, with a short time between renewals."""
    monkeypatch.setattr(lease_module, "_RENEWAL_INTERVAL", 0.001)
    return with_breaker(store)


def wait_for_calls(store: RecordingStore, number: int) -> None:
    with gevent.Timeout(5):
        while len(store.calls) < number:
            gevent.sleep(0.001)


def test_a_lease_is_renewed_during_the_block_and_released_at_its_end(
    store: RecordingStore, breaker: CircuitBreakingStore[str]
) -> None:
    _, has_lease, _ = breaker.look("ozon:1", "one", LEASE_SECONDS, 0)
    assert has_lease
    with Lease(breaker, "ozon:1", "one"):
        wait_for_calls(store, 3)
    calls = len(store.calls)
    gevent.sleep(0.01)
    assert len(store.calls) == calls, "it is not renewed after the block"
    assert store.calls == [("renew", "ozon:1", "one")] * (calls - 1) + [("release", "ozon:1", "one")]
    assert store.shared.leases == {}


def test_a_lease_can_be_renewed_twice_before_it_expires() -> None:
    """So a renewal that fails or comes late does not lose the lease."""
    assert 0 < 2 * lease_module._RENEWAL_INTERVAL < LEASE_SECONDS


def test_a_lease_is_released_if_the_block_fails(store: RecordingStore, breaker: CircuitBreakingStore[str]) -> None:
    with pytest.raises(ZeroDivisionError), Lease(breaker, "ozon:1", "one"):
        raise ZeroDivisionError
    assert store.calls == [("release", "ozon:1", "one")]


def test_a_lease_that_was_settled_is_not_released_again(
    store: RecordingStore, breaker: CircuitBreakingStore[str]
) -> None:
    with Lease(breaker, "ozon:1", "one") as lease:
        breaker.settle("ozon:1", lease.token, "value", 0, due=0, lifetime=60, is_positive=True)
        lease.is_settled = True
    assert store.calls == [("settle", "ozon:1", "one")]


def test_a_renewal_after_the_lease_was_settled_does_not_take_it_back(
    store: RecordingStore, breaker: CircuitBreakingStore[str]
) -> None:
    """It was on its way when the record was settled. It fails if it acquires the lease, which nobody would release."""
    breaker.look("ozon:1", "one", LEASE_SECONDS, 0)
    with Lease(breaker, "ozon:1", "one") as lease:
        breaker.settle("ozon:1", lease.token, "value", 0, due=0, lifetime=60, is_positive=True)
        lease.is_settled = True
        wait_for_calls(store, 2)
    assert store.shared.leases == {}


def test_tokens_are_unique() -> None:
    assert len({new_token() for _ in range(1000)}) == 1000
