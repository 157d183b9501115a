"""Tests of the circuit breakers around a store."""

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import gevent
import pytest
from gevent.event import AsyncResult

from app.domain.errors import Overloaded
from app.domain.events import NULL_OBSERVER, Observer
from app.store.base import Entry, Look, StoreError, StoreOverloaded
from app.store.circuit_breaker import OPEN_SECONDS, CircuitBreakingStore
from tests.support.clock import ManualClock
from tests.support.empty_store import EmptyStore
from tests.support.recording_observer import RecordingObserver

#: What a call of a scripted store does: it raises, waits for its outcome, or returns.
Step: TypeAlias = "Exception | bytes | AsyncResult[bytes]"


class ScriptedStore(EmptyStore):
    """A store whose reads and writes follow a script each; after the last step of a script they succeed."""

    def __init__(self, *reads: Step, writes: tuple[Step, ...] = ()) -> None:
        self.reads, self.writes = list(reads), list(writes)
        self.calls = 0
        #: The names of the methods that wrote, or tried to.
        self.written: list[str] = []

    def get(self, key: str) -> bytes | None:
        self.calls += 1
        return self._outcome(self.reads)

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        return Look(self.get(key), has_lease=False, purge_number=7)

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        return (self.get(since) or b"").decode(), []

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
        self._write("put")

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        self._write("release" if entry is None else "settle")
        return False

    def forget(self, key: str) -> bool:
        self._write("forget")
        return True

    def renew_lease(self, key: str, token: str, seconds: float) -> bool:
        self._write("renew_lease")
        return False

    def _write(self, name: str) -> None:
        self.written.append(name)
        self._outcome(self.writes)

    def _outcome(self, script: list[Step]) -> bytes:
        step = script.pop(0) if script else b"value"
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, bytes) else step.get() or b""


def pending() -> "AsyncResult[bytes]":
    """Return the outcome of a call that the test decides later."""
    return AsyncResult()


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


def get(store: CircuitBreakingStore[str]) -> str | None:
    """Read a value."""
    return store.read("key", decode)


def settle(store: CircuitBreakingStore[str]) -> bool:
    """Settle a record; return false if the scripted store was called."""
    return store.settle("key", "token", "value", 7, due=0, lifetime=60, is_positive=True)


#: A call of each kind, and its result if the store is called, or bypassed.
READS: dict[str, tuple[Callable[[CircuitBreakingStore[str]], object], object, object]] = {
    "read": (get, "value", None),
    "look": (lambda store: store.look("key", "token", 2.0, 0), ("value", False, 7), (None, True, 0)),
    "invalidations": (lambda store: store.invalidations("since"), ("value", []), ("since", [])),
}
WRITES: dict[str, Callable[[CircuitBreakingStore[str]], object]] = {
    "put": lambda store: store.write("key", b"value", lifetime=60, is_positive=True),
    "settle": settle,
    "release": lambda store: store.release("key", "token"),
    "renew_lease": lambda store: store.renew_lease("key", "token", 2.0),
    "forget": lambda store: store.forget("key"),
}


def test_a_closed_circuit_passes_calls_to_the_store() -> None:
    assert get(with_breaker(ScriptedStore())) == "value"


@pytest.mark.parametrize(("call", "passed", "bypassed"), READS.values(), ids=READS)
def test_a_failure_opens_the_circuit_and_a_later_success_closes_it(
    call: Callable[[CircuitBreakingStore[str]], object], passed: object, bypassed: object
) -> None:
    clock, scripted, observer = ManualClock(), ScriptedStore(StoreError("down")), RecordingObserver()
    store = with_breaker(scripted, clock, observer)
    assert [call(store) for _ in range(5)] == [bypassed] * 5
    assert scripted.calls == 1
    states = [store.is_bypassed]
    clock.now += OPEN_SECONDS
    assert call(store) == passed
    states.append(store.is_bypassed)
    assert states == [True, False]
    assert observer.events == [("store_operation_failed",), ("store_bypassed",), ("store_recovered",)]


def test_a_half_open_circuit_lets_one_call_through() -> None:
    clock, probe_result = ManualClock(), pending()
    scripted = ScriptedStore(StoreError("down"), probe_result)
    store = with_breaker(scripted, clock)
    get(store)
    clock.now += OPEN_SECONDS
    probe = gevent.spawn(get, store)
    gevent.sleep(0)
    for _ in range(3):
        clock.now += 10 * OPEN_SECONDS
        assert get(store) is None
    probe_result.set(b"value")
    assert probe.get() == "value"
    assert scripted.calls == 2


def test_a_probe_that_is_killed_makes_way_for_the_next_one() -> None:
    """It fails if the circuit waits forever for the result of the probe."""
    clock = ManualClock()
    store = with_breaker(ScriptedStore(StoreError("down"), pending()), clock)
    get(store)
    clock.now += OPEN_SECONDS
    probe = gevent.spawn(get, store)
    gevent.sleep(0)
    probe.kill()
    assert store.is_bypassed
    assert get(store) == "value"


def test_a_success_that_began_before_the_failure_does_not_close_the_circuit() -> None:
    """It fails if each success closes the circuit: then every caller tries a store that is down."""
    slow = pending()
    scripted, observer = ScriptedStore(slow, StoreError("down")), RecordingObserver()
    store = with_breaker(scripted, observer=observer)
    early = gevent.spawn(get, store)
    gevent.sleep(0)
    assert get(store) is None
    slow.set(b"value")
    assert early.get() == "value"
    assert store.is_bypassed
    assert get(store) is None
    assert scripted.calls == 2
    assert observer.arguments_of("store_recovered") == []


def test_a_failure_that_began_before_the_recovery_does_not_open_the_circuit_again() -> None:
    """It fails if each failure opens the circuit, however old it is."""
    clock, slow = ManualClock(), pending()
    scripted, observer = ScriptedStore(slow, StoreError("down")), RecordingObserver()
    store = with_breaker(scripted, clock, observer)
    early = gevent.spawn(get, store)
    gevent.sleep(0)
    get(store)
    clock.now += OPEN_SECONDS
    assert get(store) == "value"
    slow.set_exception(StoreError("down"))
    assert early.get() is None
    assert not store.is_bypassed
    assert get(store) == "value"
    assert observer.arguments_of("store_bypassed") == [[]]
    assert observer.arguments_of("store_operation_failed") == [[], []]


def test_a_failure_that_began_before_the_circuit_opened_does_not_keep_it_open_for_longer() -> None:
    """It fails if failures of calls that overlap postpone the probe."""
    clock, slow = ManualClock(), pending()
    store = with_breaker(ScriptedStore(slow, StoreError("down")), clock)
    early = gevent.spawn(get, store)
    gevent.sleep(0)
    get(store)
    clock.now += OPEN_SECONDS - 1
    slow.set_exception(StoreError("down"))
    assert early.get() is None
    clock.now += 1
    assert get(store) == "value"


def test_a_failure_during_a_probe_does_not_end_the_probe() -> None:
    """An old call fails meanwhile. It fails if that starts a second probe."""
    clock, slow, probe_result = ManualClock(), pending(), pending()
    scripted = ScriptedStore(slow, StoreError("down"), probe_result)
    store = with_breaker(scripted, clock)
    early = gevent.spawn(get, store)
    gevent.sleep(0)
    get(store)
    clock.now += OPEN_SECONDS
    probe = gevent.spawn(get, store)
    gevent.sleep(0)
    slow.set_exception(StoreError("down"))
    early.join()
    assert get(store) is None
    probe_result.set(b"value")
    assert probe.get() == "value"
    assert not store.is_bypassed
    assert scripted.calls == 3


def test_a_failed_probe_opens_the_circuit_again() -> None:
    clock, scripted = ManualClock(), ScriptedStore(StoreError("down"), StoreError("down"))
    store = with_breaker(scripted, clock)
    get(store)
    clock.now += OPEN_SECONDS
    assert get(store) is None
    clock.now += OPEN_SECONDS - 1
    assert get(store) is None
    clock.now += 1
    assert get(store) == "value"
    assert scripted.calls == 3


def test_an_overload_is_counted_and_changes_nothing() -> None:
    """It fails if the wait for a connection counts as a failure of the store."""
    observer = RecordingObserver()
    store = with_breaker(ScriptedStore(StoreOverloaded("busy"), writes=(StoreOverloaded("busy"),)), observer=observer)
    assert get(store) is None
    assert settle(store)
    assert observer.events == [("store_overloaded",)] * 2
    assert not store.is_bypassed
    assert get(store) == "value"
    assert not settle(store)


def test_an_overload_during_a_probe_leaves_the_circuit_half_open() -> None:
    clock = ManualClock()
    store = with_breaker(ScriptedStore(StoreError("down"), StoreOverloaded("busy")), clock)
    get(store)
    clock.now += OPEN_SECONDS
    assert get(store) is None
    assert store.is_bypassed
    assert get(store) == "value"
    assert not store.is_bypassed


@pytest.mark.parametrize("name", ["put", "settle", "forget"])
def test_reads_continue_while_writes_fail(name: str) -> None:
    """It fails with one circuit for both: a full store would not return the records that it has."""
    clock, observer = ManualClock(), RecordingObserver()
    scripted = ScriptedStore(writes=(StoreError("full"), StoreError("full")))
    store = with_breaker(scripted, clock, observer)

    def write() -> None:
        if name == "forget":
            with pytest.raises(Overloaded):
                WRITES[name](store)
        else:
            WRITES[name](store)

    write()
    write()
    assert scripted.written == [name]
    assert [call(store) for call, _, _ in READS.values()] == [passed for _, passed, _ in READS.values()]
    states = [store.is_bypassed]
    clock.now += OPEN_SECONDS
    write()
    clock.now += OPEN_SECONDS
    WRITES[name](store)
    assert scripted.written == [name] * 3
    states.append(store.is_bypassed)
    assert states == [True, False]
    assert [event for event, *_ in observer.events] == [
        "store_operation_failed",
        "store_bypassed",
        "store_operation_failed",
        "store_recovered",
    ]


@pytest.mark.parametrize("name", ["release", "renew_lease"])
def test_a_call_that_may_write_nothing_is_no_probe(name: str) -> None:
    """It fails if the release of a lease that was never stored closes the circuit of a store that cannot be written."""
    clock, scripted = ManualClock(), ScriptedStore(writes=(StoreError("full"),))
    store = with_breaker(scripted, clock)
    settle(store)
    clock.now += OPEN_SECONDS
    WRITES[name](store)
    assert scripted.written == ["settle"]
    assert store.is_bypassed
    settle(store)
    WRITES[name](store)
    assert scripted.written == ["settle", "settle", name]


@pytest.mark.parametrize("name", WRITES)
def test_what_cannot_be_read_is_not_written(name: str) -> None:
    """It fails if each write tries a store that is down, and waits for its timeout once more."""
    clock, scripted = ManualClock(), ScriptedStore(StoreError("down"))
    store = with_breaker(scripted, clock)
    get(store)
    clock.now += OPEN_SECONDS
    if name == "forget":
        with pytest.raises(Overloaded):
            WRITES[name](store)
    else:
        WRITES[name](store)
    assert scripted.written == []
    get(store)
    WRITES[name](store)
    assert scripted.written == [name]


def test_the_store_recovers_when_both_circuits_are_closed() -> None:
    clock, observer = ManualClock(), RecordingObserver()
    store = with_breaker(ScriptedStore(StoreError("down"), writes=(StoreError("down"),)), clock, observer)
    settle(store)
    get(store)
    clock.now += OPEN_SECONDS
    get(store)
    states = [(store.is_bypassed, len(observer.arguments_of("store_recovered")))]
    settle(store)
    states.append((store.is_bypassed, len(observer.arguments_of("store_recovered"))))
    assert states == [(True, 0), (False, 1)]


def test_each_change_of_state_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    store = with_breaker(
        ScriptedStore(
            StoreError("down"), StoreError("still down"), writes=(StoreError("full"), StoreError("still full"))
        ),
        clock,
    )
    with caplog.at_level(logging.INFO):
        for _ in range(10):
            get(store)
            clock.now += OPEN_SECONDS / 2
        for _ in range(10):
            settle(store)
            clock.now += OPEN_SECONDS / 2
    assert [record.message for record in caplog.records] == [
        "the store is bypassed: down",
        "the store is available again",
        "nothing is written to the store: full",
        "the store can be written again",
    ]


def test_an_invalid_value_is_a_miss_that_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """It does not open the circuit."""
    observer = RecordingObserver()
    store = with_breaker(ScriptedStore(b"garbage", b"garbage"), observer=observer)
    assert [get(store) for _ in range(3)] == [None, None, "value"]
    assert observer.events == [("store_operation_failed",)] * 2
    assert len(caplog.records) == 1


def test_the_lease_of_an_invalid_record_can_be_acquired_before_the_record_is_due() -> None:
    """It fails if the lookup has neither a record nor a lease: it would wait for a worker that does not exist."""

    class OneRecord(EmptyStore):
        def look(self, key: str, token: str, seconds: float, now: float) -> Look:
            return Look(b"garbage", has_lease=now > 1e12, purge_number=7)

    assert with_breaker(OneRecord()).look("key", "token", 2.0, 1_700_000_000.0) == (None, True, 7)


def test_a_valid_record_is_looked_up_once() -> None:
    """A record that is not due comes without a lease. It needs none."""
    store = ScriptedStore(b"one", b"two")
    assert with_breaker(store).look("key", "token", 2.0, 0.0) == ("one", False, 7)
    assert store.calls == 1


def test_an_exception_other_than_store_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        get(with_breaker(ScriptedStore(ZeroDivisionError())))


@pytest.mark.parametrize("step", [b"value", StoreError("down")])
def test_the_store_has_been_tried_after_the_first_call(step: bytes | StoreError) -> None:
    """Whether the call succeeds or fails."""
    store = with_breaker(ScriptedStore(step))
    before = store.has_been_tried
    get(store)
    assert (before, store.has_been_tried) == (False, True)


@pytest.mark.parametrize(("call", "bypassed"), [(call, bypassed) for call, _, bypassed in READS.values()], ids=READS)
def test_without_a_store_each_read_returns_its_default(
    call: Callable[[CircuitBreakingStore[str]], object], bypassed: object
) -> None:
    store = with_breaker(None)
    assert call(store) == bypassed
    assert (store.is_shared, store.is_bypassed, store.has_been_tried) == (False, False, True)
    assert settle(store)
    assert not store.forget("key")
