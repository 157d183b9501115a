"""The guard: a store that fails is passed over, and tried again by one."""

import logging
from typing import Any

import gevent
import pytest
from gevent.event import Event

from app.domain.events import NOBODY, Observer
from app.store.base import NoStore, StoreError
from app.store.circuit_breaker import PAUSE, GuardedStore
from tests.support.clock import Clock
from tests.support.recording_observer import Listener


class Scripted(NoStore):
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


def guarded(store: Any, clock: Clock | None = None, observer: Observer = NOBODY) -> GuardedStore[str]:
    return GuardedStore(store, encode=str.encode, decode=decode, clock=clock or Clock(), observer=observer)


def test_what_works_is_handed_through() -> None:
    assert guarded(Scripted()).get("key") == "value"


def test_after_a_failure_it_is_left_alone_for_a_while_and_then_tried_again() -> None:
    clock, store, listener = Clock(), Scripted(StoreError("down")), Listener()
    guard = guarded(store, clock, listener)
    assert [guard.get("key") for _ in range(5)] == [None] * 5
    assert store.calls == 1
    states = [guard.is_passed_over]
    clock.now += PAUSE
    assert guard.get("key") == "value"
    states.append(guard.is_passed_over)
    assert states == [True, False]
    assert listener.heard == [("store_failed",), ("store_passed_over",), ("store_answers",)]


def test_while_one_tries_it_again_the_others_go_on_without() -> None:
    clock, go = Clock(), Event()

    class Slow(Scripted):
        def get(self, key: str) -> bytes | None:
            if self.calls:
                go.wait()
            return super().get(key)

    store = Slow(StoreError("down"))
    guard = guarded(store, clock)
    guard.get("key")
    clock.now += PAUSE
    trying = gevent.spawn(guard.get, "key")
    gevent.sleep(0)
    assert guard.get("key") is None
    go.set()
    assert trying.get() == "value"
    assert store.calls == 2


def test_each_change_of_its_state_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    guard = guarded(Scripted(StoreError("down"), StoreError("still down")), clock)
    with caplog.at_level(logging.INFO):
        for _ in range(10):
            guard.get("key")
            clock.now += PAUSE / 2
    assert [record.message for record in caplog.records] == [
        "the store is passed over: down",
        "the store answers again",
    ]


def test_a_lie_is_a_miss_that_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The store as a whole goes on being used."""
    listener = Listener()
    guard = guarded(Scripted(b"lie", b"lie"), observer=listener)
    assert [guard.get("key") for _ in range(3)] == [None, None, "value"]
    assert listener.heard == [("store_failed",)] * 2
    assert len(caplog.records) == 1


def test_what_has_no_lifetime_is_not_put() -> None:
    class Refusing(NoStore):
        def put(self, key: str, value: bytes, *, lifetime: float, is_precious: bool) -> None:
            raise AssertionError

    guarded(Refusing()).put("key", "value", lifetime=0, is_precious=True)


def test_a_bug_in_a_store_is_not_taken_for_its_failure() -> None:
    with pytest.raises(ZeroDivisionError):
        guarded(Scripted(ZeroDivisionError())).get("key")


@pytest.mark.parametrize("answer", [b"value", StoreError("down")])
def test_it_is_known_once_it_has_been_asked(answer: bytes | StoreError) -> None:
    """Whatever came of it."""
    guard = guarded(Scripted(answer))
    before = guard.is_known
    guard.get("key")
    assert (before, guard.is_known) == (False, True)
