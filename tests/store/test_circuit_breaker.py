"""Tests of the circuit breaker around a store."""

import logging
from typing import Any

import gevent
import pytest
from gevent.event import Event

from app.domain.events import NULL_OBSERVER, Observer
from app.store.base import StoreError
from app.store.circuit_breaker import OPEN_SECONDS, CircuitBreakingStore
from tests.support.clock import ManualClock
from tests.support.empty_store import EmptyStore
from tests.support.recording_observer import RecordingObserver


class ScriptedStore(EmptyStore):
    """A store whose ``get`` raises or returns the next step of a script; after the last one it returns b"value"."""

    def __init__(self, *script: Exception | bytes) -> None:
        self.script = list(script)
        self.calls = 0

    def get(self, key: str) -> bytes | None:
        self.calls += 1
        step = self.script.pop(0) if self.script else b"value"
        if isinstance(step, Exception):
            raise step
        return step


def decode(data: bytes) -> str:
    if data == b"garbage":
        raise ValueError("no value")
    return data.decode()


def with_breaker(
    store: Any, clock: ManualClock | None = None, observer: Observer = NULL_OBSERVER
) -> CircuitBreakingStore[str]:
    return CircuitBreakingStore(
        store, encode=str.encode, decode=decode, clock=clock or ManualClock(), observer=observer
    )


def test_a_closed_circuit_passes_calls_to_the_store() -> None:
    assert with_breaker(ScriptedStore()).get("key") == "value"


def test_a_failure_opens_the_circuit_and_a_later_success_closes_it() -> None:
    clock, scripted, observer = ManualClock(), ScriptedStore(StoreError("down")), RecordingObserver()
    store = with_breaker(scripted, clock, observer)
    assert [store.get("key") for _ in range(5)] == [None] * 5
    assert scripted.calls == 1
    states = [store.is_bypassed]
    clock.now += OPEN_SECONDS
    assert store.get("key") == "value"
    states.append(store.is_bypassed)
    assert states == [True, False]
    assert observer.events == [("store_operation_failed",), ("store_bypassed",), ("store_recovered",)]


def test_a_half_open_circuit_lets_one_call_through() -> None:
    clock, go = ManualClock(), Event()

    class SlowStore(ScriptedStore):
        def get(self, key: str) -> bytes | None:
            if self.calls:
                go.wait()
            return super().get(key)

    scripted = SlowStore(StoreError("down"))
    store = with_breaker(scripted, clock)
    store.get("key")
    clock.now += OPEN_SECONDS
    trial = gevent.spawn(store.get, "key")
    gevent.sleep(0)
    assert store.get("key") is None
    go.set()
    assert trial.get() == "value"
    assert scripted.calls == 2


def test_each_change_of_state_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    store = with_breaker(ScriptedStore(StoreError("down"), StoreError("still down")), clock)
    with caplog.at_level(logging.INFO):
        for _ in range(10):
            store.get("key")
            clock.now += OPEN_SECONDS / 2
    assert [record.message for record in caplog.records] == [
        "the store is bypassed: down",
        "the store is available again",
    ]


def test_an_invalid_value_is_a_miss_that_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """It does not open the circuit."""
    observer = RecordingObserver()
    store = with_breaker(ScriptedStore(b"garbage", b"garbage"), observer=observer)
    assert [store.get("key") for _ in range(3)] == [None, None, "value"]
    assert observer.events == [("store_operation_failed",)] * 2
    assert len(caplog.records) == 1


def test_a_value_without_a_lifetime_is_not_stored() -> None:
    class FailingStore(EmptyStore):
        def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
            raise AssertionError

    with_breaker(FailingStore()).put("key", "value", lifetime=0, is_positive=True)


def test_an_exception_other_than_store_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        with_breaker(ScriptedStore(ZeroDivisionError())).get("key")


@pytest.mark.parametrize("step", [b"value", StoreError("down")])
def test_the_store_has_been_tried_after_the_first_call(step: bytes | StoreError) -> None:
    """Whether the call succeeds or fails."""
    store = with_breaker(ScriptedStore(step))
    before = store.has_been_tried
    store.get("key")
    assert (before, store.has_been_tried) == (False, True)
