"""The guard: a store that fails is passed over, and tried again by one."""

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


class Scripted(EmptyStore):
    """A store whose next calls do what they are told to; afterwards it answers with b"value"."""

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
    if data == b"lie":
        raise ValueError("no value")
    return data.decode()


def guarded(
    store: Any, clock: ManualClock | None = None, observer: Observer = NULL_OBSERVER
) -> CircuitBreakingStore[str]:
    return CircuitBreakingStore(
        store, encode=str.encode, decode=decode, clock=clock or ManualClock(), observer=observer
    )


def test_what_works_is_handed_through() -> None:
    assert guarded(Scripted()).get("key") == "value"


def test_after_a_failure_it_is_left_alone_for_a_while_and_then_tried_again() -> None:
    clock, store, listener = ManualClock(), Scripted(StoreError("down")), RecordingObserver()
    guard = guarded(store, clock, listener)
    assert [guard.get("key") for _ in range(5)] == [None] * 5
    assert store.calls == 1
    states = [guard.is_bypassed]
    clock.now += OPEN_SECONDS
    assert guard.get("key") == "value"
    states.append(guard.is_bypassed)
    assert states == [True, False]
    assert listener.events == [("store_operation_failed",), ("store_bypassed",), ("store_recovered",)]


def test_while_one_tries_it_again_the_others_go_on_without() -> None:
    clock, go = ManualClock(), Event()

    class Slow(Scripted):
        def get(self, key: str) -> bytes | None:
            if self.calls:
                go.wait()
            return super().get(key)

    store = Slow(StoreError("down"))
    guard = guarded(store, clock)
    guard.get("key")
    clock.now += OPEN_SECONDS
    trying = gevent.spawn(guard.get, "key")
    gevent.sleep(0)
    assert guard.get("key") is None
    go.set()
    assert trying.get() == "value"
    assert store.calls == 2


def test_each_change_of_its_state_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    guard = guarded(Scripted(StoreError("down"), StoreError("still down")), clock)
    with caplog.at_level(logging.INFO):
        for _ in range(10):
            guard.get("key")
            clock.now += OPEN_SECONDS / 2
    assert [record.message for record in caplog.records] == [
        "the store is passed over: down",
        "the store answers again",
    ]


def test_a_lie_is_a_miss_that_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The store as a whole goes on being used."""
    listener = RecordingObserver()
    guard = guarded(Scripted(b"lie", b"lie"), observer=listener)
    assert [guard.get("key") for _ in range(3)] == [None, None, "value"]
    assert listener.events == [("store_operation_failed",)] * 2
    assert len(caplog.records) == 1


def test_what_has_no_lifetime_is_not_put() -> None:
    class Refusing(EmptyStore):
        def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
            raise AssertionError

    guarded(Refusing()).put("key", "value", lifetime=0, is_positive=True)


def test_a_bug_in_a_store_is_not_taken_for_its_failure() -> None:
    with pytest.raises(ZeroDivisionError):
        guarded(Scripted(ZeroDivisionError())).get("key")


@pytest.mark.parametrize("answer", [b"value", StoreError("down")])
def test_it_is_known_once_it_has_been_asked(answer: bytes | StoreError) -> None:
    """Whatever came of it."""
    guard = guarded(Scripted(answer))
    before = guard.has_been_tried
    guard.get("key")
    assert (before, guard.has_been_tried) == (False, True)
