"""What a published function says of itself."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Optional, TypedDict, Union

import pytest

from app.rpc.dispatcher import Dispatcher
from app.rpc.faults import METHOD_NOT_FOUND
from app.rpc.introspection import inspect_method
from tests.rpc.messages import answered, dumped, fault

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]


class Record(TypedDict):
    """A struct with a form."""

    url: str


def cover(content_id: int | str, source: str | None = None) -> str:
    """Return the cover's address.

    content_id: an int or a string
        indented
    """
    raise NotImplementedError


def every(
    a: bool,  # noqa: FBT001
    b: float,
    c: bytes,
    d: datetime,
    e: None,
    f: list[int],
    g: Sequence[str],
    h: Mapping[str, int],
    i: Record,
) -> dict[str, Any]:
    """Take one of each."""
    raise NotImplementedError


def asked(function: Callable[..., Any], method: str) -> Any:
    """Return what a caller hears about ``function``."""
    dispatcher = Dispatcher(map_error=lambda _: None)
    dispatcher.publish(function, "function")
    return answered(dispatcher.dispatch(dumped(method, "function")))


def test_list_methods_is_sorted_and_names_itself() -> None:
    dispatcher = Dispatcher(map_error=lambda _: None)
    dispatcher.publish(cover, "zz")
    dispatcher.publish(cover, "aa")
    assert answered(dispatcher.dispatch(dumped("system.listMethods"))) == [
        "aa",
        "system.getCapabilities",
        "system.listMethods",
        "system.methodHelp",
        "system.methodSignature",
        "system.multicall",
        "zz",
    ]


def test_help_is_the_docstring_dedented() -> None:
    text = "Return the cover's address.\n\ncontent_id: an int or a string\n    indented"
    assert asked(cover, "system.methodHelp") == text


def test_help_is_empty_without_a_docstring() -> None:
    assert asked(lambda: 1, "system.methodHelp") == ""


def test_each_number_of_parameters_and_each_type_has_a_signature() -> None:
    assert asked(cover, "system.methodSignature") == [
        ["string", "int"],
        ["string", "string"],
        ["string", "int", "string"],
        ["string", "string", "string"],
    ]


def test_each_type_has_its_word() -> None:
    words = "struct boolean double base64 dateTime.iso8601 nil array array struct struct"
    assert asked(every, "system.methodSignature") == [words.split()]


def test_the_older_spellings_of_a_union_are_read() -> None:
    def function(a: Union[int, str], b: Optional[bool]) -> Literal["x"]:  # noqa: FBT001, UP007, UP045 - they are the point
        raise NotImplementedError

    assert asked(function, "system.methodSignature") == [
        ["string", "int", "boolean"],
        ["string", "int", "nil"],
        ["string", "string", "boolean"],
        ["string", "string", "nil"],
    ]


def test_a_future_is_told_by_what_it_will_hold() -> None:
    def function() -> Future[list[int]]:
        raise NotImplementedError

    assert asked(function, "system.methodSignature") == [["array"]]


def test_what_has_no_word_is_undefined() -> None:
    def untold(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - it is the point
        raise NotImplementedError

    def anything(a: Any) -> str:
        raise NotImplementedError

    def several(*a: int) -> int:
        raise NotImplementedError

    def foreign(a: int) -> set[int]:
        raise NotImplementedError

    def unresolved(a: "Unknown") -> int:
        raise NotImplementedError

    for function in (untold, anything, several, foreign, unresolved):
        assert asked(function, "system.methodSignature") == "undef"


def test_what_has_no_word_takes_any_type() -> None:
    def echo(value: Any) -> Any:
        return value

    method = inspect_method(echo, "echo")
    values: list[Any] = [1, "a", None, [], {}]
    for value in values:
        assert method.call((value,)) == value


def test_a_double_may_be_given_as_an_int() -> None:
    def half(number: float) -> float:
        return number / 2

    assert inspect_method(half, "half").call((3,)) == 1.5


def test_any_number_of_parameters_is_taken_by_a_star() -> None:
    def count(first: int, *others: int) -> int:
        return first + len(others)

    assert inspect_method(count, "count").call((1, 2, 3)) == 3
    with pytest.raises(Exception, match="count takes 1 or more parameters, not 0"):
        inspect_method(count, "count").call(())


def test_bound_parameters_are_no_parameters() -> None:
    assert asked(partial(cover, 1), "system.methodSignature") == [["string"], ["string", "string"]]


def test_a_function_that_needs_names_cannot_be_published() -> None:
    def named(*, a: int) -> int:
        return a

    with pytest.raises(ValueError, match="by position"):
        inspect_method(named, "named")


@pytest.mark.parametrize("method", ["system.methodHelp", "system.methodSignature"])
def test_an_unknown_method_is_not_found(method: str) -> None:
    assert fault(Dispatcher(map_error=lambda _: None).dispatch(dumped(method, "none")))[0] == METHOD_NOT_FOUND


def test_the_systems_own_methods_tell_of_themselves() -> None:
    dispatcher = Dispatcher(map_error=lambda _: None)
    for name in answered(dispatcher.dispatch(dumped("system.listMethods"))):
        assert answered(dispatcher.dispatch(dumped("system.methodHelp", name)))
        assert isinstance(answered(dispatcher.dispatch(dumped("system.methodSignature", name))), list)


def test_capabilities_have_their_address_and_version() -> None:
    capabilities = answered(Dispatcher(map_error=lambda _: None).dispatch(dumped("system.getCapabilities")))
    assert {name: capability["specVersion"] for name, capability in capabilities.items()} == {
        "xmlrpc": 1,
        "system.multicall": 1,
        "introspection": 2,
        "nil": 1,
        "faults_interop": 20010516,
    }
    assert all(capability["specUrl"].startswith("http://") for capability in capabilities.values())
