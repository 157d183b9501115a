"""The dispatcher: what becomes of a call, whatever the function behind it does."""

import concurrent.futures
import logging
import re
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent import Greenlet, GreenletExit, Timeout
from gevent.event import AsyncResult, Event

from app.rpc.cacheable_result import CacheableResult, IsValid
from app.rpc.dispatcher import Dispatcher
from app.rpc.faults import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, Fault
from tests.rpc.messages import EX, answered, dumped, fault, request
from tests.support.recording_observer import RecordingObserver


def explain(error: Exception) -> Fault | None:
    """Translate as the service would: one error of the domain, and the deadline."""
    match error:
        case KeyError():
            return Fault(404, "no such item")
        case TimeoutError():
            return Fault(504, "too slow")
    return None


def publishing(*functions: Callable[..., Any], deadline: float = 5.0, max_calls: int = 1000) -> Dispatcher:
    """Return a dispatcher with these functions."""
    dispatcher = Dispatcher(map_error=explain, deadline=deadline, max_calls=max_calls)
    for function in functions:
        dispatcher.publish(function)
    return dispatcher


def returning(value: Any, deadline: float = 5.0) -> bytes:
    """Return the answer of a method that returns ``value``."""

    def method() -> Any:
        return value

    return publishing(method, deadline=deadline).dispatch(dumped("method"))


def raising(error: BaseException) -> bytes:
    """Return the answer of a method that raises ``error``."""

    def method() -> Any:
        raise error

    return publishing(method).dispatch(dumped("method"))


def add(a: int, b: int = 1) -> int:
    """Return the sum."""
    return a + b


def calling(name: str, *params: Any) -> dict[str, Any]:
    """Return an entry of a multicall."""
    return {"methodName": name, "params": list(params)}


# A plain call.


def test_a_function_is_called_by_its_name() -> None:
    assert answered(publishing(add).dispatch(dumped("add", 2, 3))) == 5


def test_a_function_is_called_by_the_name_it_was_given() -> None:
    dispatcher = publishing()
    dispatcher.publish(add, "math.add")
    assert answered(dispatcher.dispatch(dumped("math.add", 2))) == 3
    assert fault(dispatcher.dispatch(dumped("add", 2)))[0] == METHOD_NOT_FOUND


@pytest.mark.parametrize("name", ["add", "system.listMethods", "", "a b", "имя", "a" * 257])
def test_a_name_that_is_taken_or_no_name_is_not_published(name: str) -> None:
    with pytest.raises(ValueError, match="no valid method name"):
        publishing(add).publish(add, name)


@pytest.mark.parametrize("name", ["sub", "__class__.__init__", "_methods", "add.__call__", "system", "a" * 1_000_000])
def test_an_unknown_name_is_a_method_not_found(name: str) -> None:
    code, text = fault(publishing(add).dispatch(request(method=name)))
    assert code == METHOD_NOT_FOUND
    assert name[:64] in text
    assert len(text) < 100


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ((), "add takes 1 to 2 parameters, not 0"),
        ((1, 2, 3), "add takes 1 to 2 parameters, not 3"),
        ((1, "2"), "parameter 2 of add must be int, not string"),
        ((True,), "parameter 1 of add must be int, not boolean"),
        ((None,), "parameter 1 of add must be int, not nil"),
    ],
)
def test_parameters_that_do_not_fit_are_invalid(params: tuple[Any, ...], text: str) -> None:
    assert fault(publishing(add).dispatch(dumped("add", *params))) == (INVALID_PARAMS, text)


def test_an_answer_is_in_the_dialect_of_the_call() -> None:
    apache = request("<value><ex:nil/></value>", method="echo", root=f'methodCall xmlns:ex="{EX}"')

    def echo(value: Any) -> Any:
        return value

    assert b"<ex:nil/>" in publishing(echo).dispatch(apache)
    assert b"<nil/>" in publishing(echo).dispatch(dumped("echo", None))


def test_the_charset_reaches_the_reader() -> None:
    def echo(value: str) -> str:
        return value

    body = request("<value>é</value>").decode().encode("latin-1")
    assert answered(publishing(echo).dispatch(body, charset="iso-8859-1")) == "é"


def test_what_cannot_be_read_is_the_readers_fault() -> None:
    assert fault(publishing().dispatch(b"<"))[0] == PARSE_ERROR


# A function that does not return.


def test_a_fault_is_what_the_caller_is_told() -> None:
    assert fault(raising(Fault(7, "seven"))) == (7, "seven")


def test_an_error_of_the_domain_is_explained() -> None:
    assert fault(raising(KeyError("x"))) == (404, "no such item")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        OSError("secret"),
        ConnectionResetError("secret"),
        TypeError("secret"),
        RecursionError("secret"),
        MemoryError("secret"),
        Timeout(1, exception=None),
    ],
    ids=repr,
)
def test_any_other_error_is_internal_and_logged_under_its_reference(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    code, text = fault(raising(error))
    assert code == INTERNAL_ERROR
    (record,) = caplog.records
    reference = re.fullmatch(r"internal error, reference ([0-9a-f]{8})", text)
    assert reference is not None
    assert reference[1] in record.getMessage()
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_two_errors_have_two_references() -> None:
    assert fault(raising(ValueError())) != fault(raising(ValueError()))


def test_an_explanation_that_fails_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    def confused(_error: Exception) -> Fault:
        raise LookupError("confused")

    def method() -> int:
        raise ValueError("first")

    dispatcher = Dispatcher(map_error=confused)
    dispatcher.publish(method)
    assert fault(dispatcher.dispatch(dumped("method")))[0] == INTERNAL_ERROR
    assert "confused" in caplog.text
    assert "first" in caplog.text


@pytest.mark.parametrize("end", [GreenletExit, KeyboardInterrupt, SystemExit])
def test_what_ends_the_greenlet_or_the_process_passes(end: type[BaseException]) -> None:
    with pytest.raises(end):
        raising(end())


@pytest.mark.parametrize("value", [object(), {1: 2}, 2**64, float("nan")], ids=repr)
def test_a_value_that_cannot_be_written_is_an_internal_error(value: object) -> None:
    assert fault(returning(value))[0] == INTERNAL_ERROR


# A function that returns a value on its way.


def test_the_value_of_an_async_result_is_the_answer() -> None:
    handle: AsyncResult[str] = AsyncResult()
    gevent.spawn(handle.set, "there")
    assert answered(returning(handle)) == "there"


def test_the_value_of_a_greenlet_is_the_answer() -> None:
    assert answered(returning(gevent.spawn(lambda: "there"))) == "there"


def test_the_value_of_a_future_is_the_answer() -> None:
    handle: concurrent.futures.Future[str] = concurrent.futures.Future()
    gevent.spawn(handle.set_result, "there")
    assert answered(returning(handle)) == "there"


def test_a_handle_may_hold_another() -> None:
    assert answered(returning(gevent.spawn(gevent.spawn, lambda: "there"))) == "there"


def test_the_exception_of_a_handle_is_explained() -> None:
    handle: AsyncResult[str] = AsyncResult()
    handle.set_exception(KeyError("x"))
    assert fault(returning(handle)) == (404, "no such item")
    future: concurrent.futures.Future[str] = concurrent.futures.Future()
    future.set_exception(KeyError("x"))
    assert fault(returning(future)) == (404, "no such item")


@pytest.mark.parametrize("handle", [AsyncResult, Greenlet, concurrent.futures.Future])
def test_a_handle_that_is_late_is_a_timeout_to_explain(handle: Callable[[], Any]) -> None:
    assert fault(returning(handle(), deadline=0.0)) == (504, "too slow")


def test_a_killed_greenlet_is_an_internal_error() -> None:
    handle = gevent.spawn(Event().wait)
    handle.kill()
    assert fault(returning(handle))[0] == INTERNAL_ERROR


@pytest.mark.parametrize("end", [GreenletExit(), Timeout(1, exception=None)], ids=repr)
def test_an_end_that_is_no_exception_is_an_internal_error(end: BaseException) -> None:
    handle: AsyncResult[str] = AsyncResult()
    handle.set_exception(end)
    assert fault(returning(handle))[0] == INTERNAL_ERROR
    future: concurrent.futures.Future[str] = concurrent.futures.Future()
    future.set_exception(end)
    assert fault(returning(future))[0] == INTERNAL_ERROR


def test_a_cancelled_future_is_an_internal_error() -> None:
    handle: concurrent.futures.Future[str] = concurrent.futures.Future()
    handle.cancel()
    assert fault(returning(handle))[0] == INTERNAL_ERROR


def test_one_who_is_killed_while_waiting_ends_in_silence() -> None:
    caller = gevent.spawn(returning, AsyncResult())
    gevent.sleep(0)
    caller.kill()
    assert isinstance(caller.value, GreenletExit)


# Several calls in one.


def many(dispatcher: Dispatcher, *entries: Any) -> Any:
    """Return the answer to a multicall of these entries."""
    return answered(dispatcher.dispatch(dumped("system.multicall", list(entries))))


def test_each_answer_is_an_array_of_one_in_the_order_of_the_calls() -> None:
    assert many(publishing(add), *(calling("add", n) for n in range(5))) == [[1], [2], [3], [4], [5]]


def test_no_calls_have_no_answers() -> None:
    assert many(publishing()) == []


def test_the_entries_run_concurrently() -> None:
    """Each of two waits for the other: in turn neither would end."""
    met = [Event(), Event()]

    def meet(mine: int) -> bool:
        met[mine].set()
        return bool(met[1 - mine].wait(timeout=5))

    assert many(publishing(meet), calling("meet", 0), calling("meet", 1)) == [[True], [True]]


def test_a_fault_is_that_of_its_entry() -> None:
    def lose() -> str:
        raise KeyError

    answers = many(publishing(add, lose), calling("add", 1), calling("lose"), calling("none"), calling("add"))
    assert answers[0] == [2]
    assert answers[1] == {"faultCode": 404, "faultString": "no such item"}
    assert [answer["faultCode"] for answer in answers[2:]] == [METHOD_NOT_FOUND, INVALID_PARAMS]


def test_a_multicall_within_a_multicall_is_a_fault_of_its_entry() -> None:
    answers = many(publishing(add), calling("system.multicall", []), calling("add", 1))
    assert answers[0]["faultCode"] == INVALID_REQUEST
    assert answers[1] == [2]


@pytest.mark.parametrize(
    "entry",
    [1, "add", None, [], {}, {"params": []}, {"methodName": 1, "params": []}, {"methodName": "add", "params": 1}],
    ids=repr,
)
def test_a_malformed_entry_is_a_fault_of_its_entry(entry: object) -> None:
    answers = many(publishing(add), entry, calling("add", 1))
    assert answers[0]["faultCode"] == INVALID_REQUEST
    assert answers[1] == [2]


def test_an_entry_without_params_has_none() -> None:
    def one() -> int:
        return 1

    assert many(publishing(one), {"methodName": "one"}) == [[1]]


def test_more_entries_than_max_calls_are_invalid() -> None:
    dispatcher = publishing(add, max_calls=2)
    assert len(many(dispatcher, *[calling("add", 1)] * 2)) == 2
    code, _ = fault(dispatcher.dispatch(dumped("system.multicall", [calling("add", 1)] * 3)))
    assert code == INVALID_PARAMS


def test_a_value_that_cannot_be_written_spoils_its_own_entry_only() -> None:
    def bad() -> Any:
        return object()

    answers = many(publishing(add, bad), calling("bad"), calling("add", 1))
    assert answers[0]["faultCode"] == INTERNAL_ERROR
    assert answers[1] == [2]


def test_entries_share_the_deadline_and_none_outlives_it() -> None:
    ended = Event()

    def stay() -> None:
        try:
            Event().wait()
        finally:
            ended.set()

    def promise() -> Any:
        return AsyncResult()

    answers = many(publishing(stay, promise, deadline=0.05), calling("promise"), calling("stay"))
    assert [answer["faultCode"] for answer in answers] == [504, 504]
    assert ended.wait(timeout=5)


def test_when_the_caller_is_gone_its_entries_end() -> None:
    begun, ended = Event(), Event()

    def stay() -> None:
        begun.set()
        try:
            Event().wait()
        finally:
            ended.set()

    caller = gevent.spawn(publishing(stay).dispatch, dumped("system.multicall", [calling("stay")]))
    assert begun.wait(timeout=5)
    caller.kill()
    assert ended.wait(timeout=5)


def test_a_multicall_bounds_what_its_entries_weigh_in_all() -> None:
    """The entries that fit are answered, the others are faults of their own."""
    dispatcher = Dispatcher(map_error=explain, max_calls=10)
    dispatcher.publish(len, "count", count_lookups=lambda params: len(params[0]))
    calls = [{"methodName": "count", "params": [[0] * size]} for size in (6, 6, 3)]
    first, second, third = answered(dispatcher.dispatch(dumped("system.multicall", calls)))
    assert (first, third) == ([6], [3])
    assert second["faultCode"] == INVALID_PARAMS


def lasting() -> tuple[Dispatcher, IsValid]:
    """Return a dispatcher with a method whose answer lasts, and for how long."""

    def holds() -> bool:
        return True

    def ask(number: int) -> CacheableResult[int]:
        return CacheableResult(number, holds)

    return publishing(ask), holds


def test_who_asks_is_told_of_an_answer_that_lasts() -> None:
    dispatcher, holds = lasting()
    told: list[IsValid] = []
    assert answered(dispatcher.dispatch(dumped("ask", 5), on_cacheable=told.append)) == 5
    assert told == [holds]


def test_of_no_other_is_anything_told() -> None:
    dispatcher, _ = lasting()
    told: list[IsValid] = []
    for body in (dumped("ask", "five"), dumped("no.such"), dumped("system.listMethods"), b"bad"):
        dispatcher.dispatch(body, on_cacheable=told.append)
    dispatcher.dispatch(dumped("system.multicall", [{"methodName": "ask", "params": [5]}]), on_cacheable=told.append)
    assert told == []


def test_who_does_not_want_to_be_told_gets_the_value_alone() -> None:
    dispatcher, _ = lasting()
    assert answered(dispatcher.dispatch(dumped("ask", 5))) == 5


def test_in_a_multicall_it_is_a_value_as_any() -> None:
    dispatcher, _ = lasting()
    entries = [{"methodName": "ask", "params": [5]}] * 2
    assert answered(dispatcher.dispatch(dumped("system.multicall", entries))) == [[5], [5]]


def test_the_signature_of_a_lasting_answer_is_that_of_its_value() -> None:
    dispatcher, _ = lasting()
    assert answered(dispatcher.dispatch(dumped("system.methodSignature", "ask"))) == [["int", "int"]]


def observed(listener: RecordingObserver, *functions: Callable[..., Any], deadline: float = 5.0) -> Dispatcher:
    """Return a dispatcher with these functions, and an observer."""
    dispatcher = Dispatcher(map_error=explain, deadline=deadline, observer=listener)
    for function in functions:
        dispatcher.publish(function)
    return dispatcher


def test_an_observer_hears_of_each_call_and_its_fault() -> None:
    """Of names that nobody publishes it does not hear."""

    def find() -> int:
        raise KeyError

    listener = RecordingObserver()
    dispatcher = observed(listener, add, find)
    for body in (dumped("add", 1), dumped("add", "one"), dumped("find"), dumped("made.up"), b"bad"):
        dispatcher.dispatch(body)
    calls = [tuple(arguments[:2]) for arguments in listener.arguments_of("call_finished")]
    assert calls == [("add", None), ("add", INVALID_PARAMS), ("find", 404), ("", METHOD_NOT_FOUND), ("", PARSE_ERROR)]


def test_an_observer_hears_how_long_a_call_took() -> None:
    def wait() -> bool:
        gevent.sleep(0.01)
        return True

    listener = RecordingObserver()
    observed(listener, wait).dispatch(dumped("wait"))
    ((_, _, seconds),) = listener.arguments_of("call_finished")
    assert 0.01 <= seconds < 5


def test_each_entry_of_a_multicall_is_a_call() -> None:
    """Those that are no calls, and those that come too late, as well."""

    def stay() -> None:
        Event().wait()

    listener = RecordingObserver()
    entries = [calling("add", 1), calling("made.up"), {"methodName": ["add"]}, "no call", calling("stay")]
    many(observed(listener, add, stay, deadline=0.05), *entries)
    calls = sorted((str(method), code or 0) for method, code, _ in listener.arguments_of("call_finished"))
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
