"""``system.multicall``: the order of results, faults of single entries, the deadline and the limits."""

from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event

from app.rpc.cacheable_result import CacheableResult
from app.rpc.dispatcher import Dispatcher
from app.rpc.faults import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND
from tests.rpc.dispatchers import add, map_error, publishing
from tests.rpc.messages import client_request, fault_of, result_of
from tests.support.recording_observer import RecordingObserver


def entry_for(name: str, *params: Any) -> dict[str, Any]:
    """Return a multicall entry."""
    return {"methodName": name, "params": list(params)}


def multicall(dispatcher: Dispatcher, *entries: Any) -> Any:
    """Return the result of a multicall of these entries."""
    return result_of(dispatcher.dispatch(client_request("system.multicall", list(entries))))


def test_each_result_is_an_array_of_one_in_the_order_of_the_calls() -> None:
    assert multicall(publishing(add), *(entry_for("add", n) for n in range(5))) == [[1], [2], [3], [4], [5]]


def test_an_empty_multicall_has_an_empty_result() -> None:
    assert multicall(publishing()) == []


def test_entries_run_concurrently() -> None:
    """Two entries wait for each other; if they ran one after the other, neither would finish."""
    started = [Event(), Event()]

    def meet(index: int) -> bool:
        started[index].set()
        return bool(started[1 - index].wait(timeout=5))

    assert multicall(publishing(meet), entry_for("meet", 0), entry_for("meet", 1)) == [[True], [True]]


def test_a_fault_of_an_entry_does_not_affect_the_others() -> None:
    def fail() -> str:
        raise KeyError

    results = multicall(
        publishing(add, fail), entry_for("add", 1), entry_for("fail"), entry_for("none"), entry_for("add")
    )
    assert results[0] == [2]
    assert results[1] == {"faultCode": 404, "faultString": "no such item"}
    assert [result["faultCode"] for result in results[2:]] == [METHOD_NOT_FOUND, INVALID_PARAMS]


def test_a_multicall_within_a_multicall_is_a_fault_of_its_entry() -> None:
    results = multicall(publishing(add), entry_for("system.multicall", []), entry_for("add", 1))
    assert results[0]["faultCode"] == INVALID_REQUEST
    assert results[1] == [2]


@pytest.mark.parametrize(
    "entry",
    [1, "add", None, [], {}, {"params": []}, {"methodName": 1, "params": []}, {"methodName": "add", "params": 1}],
    ids=repr,
)
def test_a_malformed_entry_is_a_fault_of_its_entry(entry: object) -> None:
    results = multicall(publishing(add), entry, entry_for("add", 1))
    assert results[0]["faultCode"] == INVALID_REQUEST
    assert results[1] == [2]


def test_params_of_an_entry_may_be_absent() -> None:
    def one() -> int:
        return 1

    assert multicall(publishing(one), {"methodName": "one"}) == [[1]]


def test_more_entries_than_max_calls_are_invalid_params() -> None:
    dispatcher = publishing(add, max_calls=2)
    assert len(multicall(dispatcher, *[entry_for("add", 1)] * 2)) == 2
    code, _ = fault_of(dispatcher.dispatch(client_request("system.multicall", [entry_for("add", 1)] * 3)))
    assert code == INVALID_PARAMS


def test_a_result_that_cannot_be_serialised_fails_its_own_entry_only() -> None:
    def unserialisable() -> Any:
        return object()

    results = multicall(publishing(add, unserialisable), entry_for("unserialisable"), entry_for("add", 1))
    assert results[0]["faultCode"] == INTERNAL_ERROR
    assert results[1] == [2]


def test_entries_share_the_deadline_and_are_killed_at_it() -> None:
    ended = Event()

    def stay() -> None:
        try:
            Event().wait()
        finally:
            ended.set()

    def defer() -> Any:
        return AsyncResult()

    results = multicall(publishing(stay, defer, deadline=0.05), entry_for("defer"), entry_for("stay"))
    assert [result["faultCode"] for result in results] == [504, 504]
    assert ended.wait(timeout=5)


def test_entries_are_killed_with_the_greenlet_of_the_multicall() -> None:
    started, ended = Event(), Event()

    def stay() -> None:
        started.set()
        try:
            Event().wait()
        finally:
            ended.set()

    caller = gevent.spawn(publishing(stay).dispatch, client_request("system.multicall", [entry_for("stay")]))
    assert started.wait(timeout=5)
    caller.kill()
    assert ended.wait(timeout=5)


def test_the_lookups_of_all_entries_are_limited() -> None:
    """An entry that exceeds what remains of the limit gets a fault; the entries that fit are run."""
    dispatcher = Dispatcher(map_error=map_error, max_calls=10)
    dispatcher.publish(len, "count", count_lookups=lambda params: len(params[0]))
    calls = [{"methodName": "count", "params": [[0] * size]} for size in (6, 6, 3)]
    first, second, third = result_of(dispatcher.dispatch(client_request("system.multicall", calls)))
    assert (first, third) == ([6], [3])
    assert second["faultCode"] == INVALID_PARAMS


def test_an_entry_returns_the_value_of_a_cacheable_result() -> None:
    def find(number: int) -> CacheableResult[int]:
        return CacheableResult(number, lambda: True)

    assert multicall(publishing(find), *[entry_for("find", 5)] * 2) == [[5], [5]]


def test_each_entry_is_reported_to_the_observer_as_a_call() -> None:
    """Malformed entries and late entries are reported too."""

    def stay() -> None:
        Event().wait()

    observer = RecordingObserver()
    entries = [entry_for("add", 1), entry_for("made.up"), {"methodName": ["add"]}, "no call", entry_for("stay")]
    multicall(publishing(add, stay, deadline=0.05, observer=observer), *entries)
    calls = sorted((str(method), code or 0) for method, code, _ in observer.arguments_of("call_finished"))
    assert calls == sorted(
        [
            ("", INVALID_REQUEST),
            ("", INVALID_REQUEST),
            ("", METHOD_NOT_FOUND),
            ("add", 0),
            ("stay", 504),
            ("system.multicall", 0),
        ]
    )
