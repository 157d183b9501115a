"""Introspection: help and signatures of published functions, and the check of parameters."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Optional, TypedDict, Union

import pytest

from app.rpc.dispatcher import Dispatcher
from app.rpc.faults import METHOD_NOT_FOUND
from app.rpc.introspection import inspect_method
from tests.rpc.messages import client_request, fault_of, result_of

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]


class Record(TypedDict):
    """A struct with known members."""

    url: str


def cover(content_id: int | str, source: str | None = None) -> str:
    """Return the URL of a cover.

    content_id: an int or a string
        indented
    """
    raise NotImplementedError


def all_types(
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
    """Take one parameter of each type."""
    raise NotImplementedError


def introspect(function: Callable[..., Any], method: str) -> Any:
    """Publish ``function`` and return the result of an introspection ``method`` for it."""
    dispatcher = Dispatcher(map_error=lambda _: None)
    dispatcher.publish(function, "function")
    return result_of(dispatcher.dispatch(client_request(method, "function")))


def test_list_methods_is_sorted_and_includes_itself() -> None:
    dispatcher = Dispatcher(map_error=lambda _: None)
    dispatcher.publish(cover, "zz")
    dispatcher.publish(cover, "aa")
    assert result_of(dispatcher.dispatch(client_request("system.listMethods"))) == [
        "aa",
        "system.getCapabilities",
        "system.listMethods",
        "system.methodHelp",
        "system.methodSignature",
        "system.multicall",
        "zz",
    ]


def test_help_is_the_docstring_dedented() -> None:
    text = "Return the URL of a cover.\n\ncontent_id: an int or a string\n    indented"
    assert introspect(cover, "system.methodHelp") == text


def test_help_is_empty_without_a_docstring() -> None:
    assert introspect(lambda: 1, "system.methodHelp") == ""


def test_there_is_a_signature_for_each_parameter_count_and_type() -> None:
    assert introspect(cover, "system.methodSignature") == [
        ["string", "int"],
        ["string", "string"],
        ["string", "int", "string"],
        ["string", "string", "string"],
    ]


def test_each_python_type_has_an_xml_rpc_type() -> None:
    type_names = "struct boolean double base64 dateTime.iso8601 nil array array struct struct"
    assert introspect(all_types, "system.methodSignature") == [type_names.split()]


def test_union_and_optional_are_supported() -> None:
    def function(a: Union[int, str], b: Optional[bool]) -> Literal["x"]:  # noqa: FBT001, UP007, UP045 - the subject of the test
        raise NotImplementedError

    assert introspect(function, "system.methodSignature") == [
        ["string", "int", "boolean"],
        ["string", "int", "nil"],
        ["string", "string", "boolean"],
        ["string", "string", "nil"],
    ]


def test_the_signature_of_a_future_is_that_of_its_result() -> None:
    def function() -> Future[list[int]]:
        raise NotImplementedError

    assert introspect(function, "system.methodSignature") == [["array"]]


def test_an_unsupported_annotation_makes_the_signature_undefined() -> None:
    def unannotated(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - the subject of the test
        raise NotImplementedError

    def any_type(a: Any) -> str:
        raise NotImplementedError

    def variadic(*a: int) -> int:
        raise NotImplementedError

    def unsupported(a: int) -> set[int]:
        raise NotImplementedError

    def unresolved(a: "Unknown") -> int:
        raise NotImplementedError

    for function in (unannotated, any_type, variadic, unsupported, unresolved):
        assert introspect(function, "system.methodSignature") == "undef"


def test_a_parameter_annotated_as_any_accepts_every_type() -> None:
    def echo(value: Any) -> Any:
        return value

    method = inspect_method(echo, "echo")
    values: list[Any] = [1, "a", None, [], {}]
    for value in values:
        assert method.call((value,)) == value


def test_an_int_is_accepted_for_a_double() -> None:
    def half(number: float) -> float:
        return number / 2

    assert inspect_method(half, "half").call((3,)) == 1.5


def test_a_variadic_function_accepts_any_number_of_parameters() -> None:
    def count(first: int, *others: int) -> int:
        return first + len(others)

    assert inspect_method(count, "count").call((1, 2, 3)) == 3
    with pytest.raises(Exception, match="count takes 1 or more parameters, not 0"):
        inspect_method(count, "count").call(())


def test_bound_parameters_of_a_partial_are_not_counted() -> None:
    assert introspect(partial(cover, 1), "system.methodSignature") == [["string"], ["string", "string"]]


def test_a_function_with_required_keyword_arguments_cannot_be_published() -> None:
    def keyword_only(*, a: int) -> int:
        return a

    with pytest.raises(ValueError, match="by position"):
        inspect_method(keyword_only, "keyword_only")


@pytest.mark.parametrize("method", ["system.methodHelp", "system.methodSignature"])
def test_an_unknown_method_is_not_found(method: str) -> None:
    assert (
        fault_of(Dispatcher(map_error=lambda _: None).dispatch(client_request(method, "none")))[0] == METHOD_NOT_FOUND
    )


def test_the_system_methods_have_help_and_signatures() -> None:
    dispatcher = Dispatcher(map_error=lambda _: None)
    for name in result_of(dispatcher.dispatch(client_request("system.listMethods"))):
        assert result_of(dispatcher.dispatch(client_request("system.methodHelp", name)))
        assert isinstance(result_of(dispatcher.dispatch(client_request("system.methodSignature", name))), list)


def test_capabilities_have_url_and_version() -> None:
    capabilities = result_of(Dispatcher(map_error=lambda _: None).dispatch(client_request("system.getCapabilities")))
    assert {name: capability["specVersion"] for name, capability in capabilities.items()} == {
        "xmlrpc": 1,
        "system.multicall": 1,
        "introspection": 2,
        "nil": 1,
        "faults_interop": 20010516,
    }
    assert all(capability["specUrl"].startswith("http://") for capability in capabilities.values())
