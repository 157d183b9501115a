"""The dispatcher: single calls, errors, deferred and cacheable results, and the observer."""

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
from app.rpc.faults import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, PARSE_ERROR, Fault
from tests.rpc.dispatchers import add, publishing
from tests.rpc.messages import EX, client_request, fault_of, request, result_of
from tests.support.recording_observer import RecordingObserver


def returning(value: Any, deadline: float = 5.0) -> bytes:
    """Return the response of a method that returns ``value``."""

    def method() -> Any:
        return value

    return publishing(method, deadline=deadline).dispatch(client_request("method"))


def raising(error: BaseException) -> bytes:
    """Return the response of a method that raises ``error``."""

    def method() -> Any:
        raise error

    return publishing(method).dispatch(client_request("method"))


# Single calls.


def test_a_function_is_published_under_its_own_name() -> None:
    assert result_of(publishing(add).dispatch(client_request("add", 2, 3))) == 5


def test_a_function_can_be_published_under_another_name() -> None:
    dispatcher = publishing()
    dispatcher.publish(add, "math.add")
    assert result_of(dispatcher.dispatch(client_request("math.add", 2))) == 3
    assert fault_of(dispatcher.dispatch(client_request("add", 2)))[0] == METHOD_NOT_FOUND


@pytest.mark.parametrize("name", ["add", "system.listMethods", "", "a b", "имя", "a" * 257])
def test_an_invalid_or_already_published_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no valid method name"):
        publishing(add).publish(add, name)


@pytest.mark.parametrize("name", ["sub", "__class__.__init__", "_methods", "add.__call__", "system", "a" * 1_000_000])
def test_an_unknown_name_is_method_not_found(name: str) -> None:
    code, text = fault_of(publishing(add).dispatch(request(method=name)))
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
def test_parameters_of_wrong_number_or_type_are_invalid_params(params: tuple[Any, ...], text: str) -> None:
    assert fault_of(publishing(add).dispatch(client_request("add", *params))) == (INVALID_PARAMS, text)


def test_the_response_is_in_the_dialect_of_the_request() -> None:
    apache = request("<value><ex:nil/></value>", method="echo", root=f'methodCall xmlns:ex="{EX}"')

    def echo(value: Any) -> Any:
        return value

    assert b"<ex:nil/>" in publishing(echo).dispatch(apache)
    assert b"<nil/>" in publishing(echo).dispatch(client_request("echo", None))


def test_the_charset_is_passed_to_the_parser() -> None:
    def echo(value: str) -> str:
        return value

    body = request("<value>é</value>").decode().encode("latin-1")
    assert result_of(publishing(echo).dispatch(body, charset="iso-8859-1")) == "é"


def test_a_request_that_cannot_be_parsed_gets_the_fault_of_the_parser() -> None:
    assert fault_of(publishing().dispatch(b"<"))[0] == PARSE_ERROR


# Functions that raise.


def test_a_fault_is_sent_to_the_client() -> None:
    assert fault_of(raising(Fault(7, "seven"))) == (7, "seven")


def test_an_error_of_the_domain_is_mapped_to_a_fault() -> None:
    assert fault_of(raising(KeyError("x"))) == (404, "no such item")


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
def test_any_other_error_is_internal_and_logged_with_its_reference(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    code, text = fault_of(raising(error))
    assert code == INTERNAL_ERROR
    (record,) = caplog.records
    reference = re.fullmatch(r"internal error, reference ([0-9a-f]{8})", text)
    assert reference is not None
    assert reference[1] in record.getMessage()
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_each_internal_error_has_its_own_reference() -> None:
    assert fault_of(raising(ValueError())) != fault_of(raising(ValueError()))


def test_an_error_in_map_error_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    def failing_map_error(_error: Exception) -> Fault:
        raise LookupError("second")

    def method() -> int:
        raise ValueError("first")

    dispatcher = Dispatcher(map_error=failing_map_error)
    dispatcher.publish(method)
    assert fault_of(dispatcher.dispatch(client_request("method")))[0] == INTERNAL_ERROR
    assert "second" in caplog.text
    assert "first" in caplog.text


@pytest.mark.parametrize("exception", [GreenletExit, KeyboardInterrupt, SystemExit])
def test_exceptions_that_end_the_greenlet_or_the_process_propagate(exception: type[BaseException]) -> None:
    with pytest.raises(exception):
        raising(exception())


@pytest.mark.parametrize("value", [object(), {1: 2}, 2**64, float("nan")], ids=repr)
def test_a_result_that_cannot_be_serialised_is_an_internal_error(value: object) -> None:
    assert fault_of(returning(value))[0] == INTERNAL_ERROR


# Deferred results.


def test_the_value_of_an_async_result_is_returned() -> None:
    deferred: AsyncResult[str] = AsyncResult()
    gevent.spawn(deferred.set, "value")
    assert result_of(returning(deferred)) == "value"


def test_the_value_of_a_greenlet_is_returned() -> None:
    assert result_of(returning(gevent.spawn(lambda: "value"))) == "value"


def test_the_value_of_a_future_is_returned() -> None:
    deferred: concurrent.futures.Future[str] = concurrent.futures.Future()
    gevent.spawn(deferred.set_result, "value")
    assert result_of(returning(deferred)) == "value"


def test_a_deferred_result_may_resolve_to_another() -> None:
    assert result_of(returning(gevent.spawn(gevent.spawn, lambda: "value"))) == "value"


def test_the_exception_of_a_deferred_result_is_mapped_to_a_fault() -> None:
    deferred: AsyncResult[str] = AsyncResult()
    deferred.set_exception(KeyError("x"))
    assert fault_of(returning(deferred)) == (404, "no such item")
    future: concurrent.futures.Future[str] = concurrent.futures.Future()
    future.set_exception(KeyError("x"))
    assert fault_of(returning(future)) == (404, "no such item")


@pytest.mark.parametrize("deferred", [AsyncResult, Greenlet, concurrent.futures.Future])
def test_a_late_deferred_result_is_a_timeout_error(deferred: Callable[[], Any]) -> None:
    assert fault_of(returning(deferred(), deadline=0.0)) == (504, "too slow")


def test_a_killed_greenlet_is_an_internal_error() -> None:
    deferred = gevent.spawn(Event().wait)
    deferred.kill()
    assert fault_of(returning(deferred))[0] == INTERNAL_ERROR


@pytest.mark.parametrize("exception", [GreenletExit(), Timeout(1, exception=None)], ids=repr)
def test_a_deferred_greenlet_exit_or_timeout_is_an_internal_error(exception: BaseException) -> None:
    deferred: AsyncResult[str] = AsyncResult()
    deferred.set_exception(exception)
    assert fault_of(returning(deferred))[0] == INTERNAL_ERROR
    future: concurrent.futures.Future[str] = concurrent.futures.Future()
    future.set_exception(exception)
    assert fault_of(returning(future))[0] == INTERNAL_ERROR


def test_a_cancelled_future_is_an_internal_error() -> None:
    deferred: concurrent.futures.Future[str] = concurrent.futures.Future()
    deferred.cancel()
    assert fault_of(returning(deferred))[0] == INTERNAL_ERROR


def test_a_greenlet_that_is_killed_while_waiting_ends_with_greenlet_exit() -> None:
    caller = gevent.spawn(returning, AsyncResult())
    gevent.sleep(0)
    caller.kill()
    assert isinstance(caller.value, GreenletExit)


# Cacheable results.


def publishing_cacheable() -> tuple[Dispatcher, IsValid]:
    """Return a dispatcher with a method ``find`` whose result is cacheable, and the result's ``is_valid``."""

    def is_valid() -> bool:
        return True

    def find(number: int) -> CacheableResult[int]:
        return CacheableResult(number, is_valid)

    return publishing(find), is_valid


def test_on_cacheable_is_called_for_a_cacheable_result() -> None:
    dispatcher, is_valid = publishing_cacheable()
    reported: list[IsValid] = []
    assert result_of(dispatcher.dispatch(client_request("find", 5), on_cacheable=reported.append)) == 5
    assert reported == [is_valid]


def test_on_cacheable_is_not_called_for_faults_other_results_and_multicalls() -> None:
    dispatcher, _ = publishing_cacheable()
    reported: list[IsValid] = []
    for body in (
        client_request("find", "five"),
        client_request("no.such"),
        client_request("system.listMethods"),
        b"bad",
    ):
        dispatcher.dispatch(body, on_cacheable=reported.append)
    dispatcher.dispatch(
        client_request("system.multicall", [{"methodName": "find", "params": [5]}]), on_cacheable=reported.append
    )
    assert reported == []


def test_a_cacheable_result_needs_no_on_cacheable() -> None:
    dispatcher, _ = publishing_cacheable()
    assert result_of(dispatcher.dispatch(client_request("find", 5))) == 5


def test_the_signature_of_a_cacheable_result_is_that_of_its_value() -> None:
    dispatcher, _ = publishing_cacheable()
    assert result_of(dispatcher.dispatch(client_request("system.methodSignature", "find"))) == [["int", "int"]]


# The observer.


def test_each_call_and_its_fault_is_reported_to_the_observer() -> None:
    """The name of a method that is not published is reported as ""."""

    def find() -> int:
        raise KeyError

    observer = RecordingObserver()
    dispatcher = publishing(add, find, observer=observer)
    for body in (
        client_request("add", 1),
        client_request("add", "one"),
        client_request("find"),
        client_request("made.up"),
        b"bad",
    ):
        dispatcher.dispatch(body)
    calls = [tuple(arguments[:2]) for arguments in observer.arguments_of("call_finished")]
    assert calls == [("add", None), ("add", INVALID_PARAMS), ("find", 404), ("", METHOD_NOT_FOUND), ("", PARSE_ERROR)]


def test_the_duration_of_a_call_is_reported_to_the_observer() -> None:
    def wait() -> bool:
        gevent.sleep(0.01)
        return True

    observer = RecordingObserver()
    publishing(wait, observer=observer).dispatch(client_request("wait"))
    ((_, _, seconds),) = observer.arguments_of("call_finished")
    assert 0.01 <= seconds < 5
