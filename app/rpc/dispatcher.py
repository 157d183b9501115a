"""The dispatcher: the published functions, and the way of a call to one of them and back.

The bytes of a request go in, the bytes of an answer come out, and no ``Exception`` ever does: whatever goes wrong is a
fault. Names are looked up in a plain dict, so a caller reaches what was published and nothing that hangs on it.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent import Timeout

from app.concurrency.greenlets import spawn
from app.domain.events import NULL_OBSERVER, Observer
from app.rpc.cacheable_result import CacheableResult, IsValid
from app.rpc.deferred_result import DEFERRED_TYPES, wait_for_result
from app.rpc.faults import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Fault
from app.rpc.introspection import CAPABILITIES, Method, inspect_method
from app.rpc.parser import parse_call
from app.rpc.serializer import serialize_fault, serialize_value

log: Final = logging.getLogger(__name__)

_is_name: Final = re.compile(r"[A-Za-z0-9_.:/]{1,256}").fullmatch


class Dispatcher:
    """Published functions behind one function from bytes to bytes.

    ``explain`` translates an error of the domain into a ``Fault``, or says None of one that it does not know: that one
    is logged with its traceback, and the caller is told a reference to the log. ``max_calls`` bounds the entries of one
    ``system.multicall``. ``deadline`` is how many seconds after a call's start a handle is given up; the builtin
    ``TimeoutError`` then goes through ``explain`` like any other.
    """

    def __init__(
        self,
        *,
        map_error: Callable[[Exception], Fault | None],
        max_calls: int = 1000,
        deadline: float = 10.0,
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._explain = map_error
        self._observer = observer
        self._max_calls = max_calls
        self._deadline = deadline
        self._methods: dict[str, Method] = {}
        self._weights: dict[str, Callable[[tuple[Any, ...]], int]] = {}
        self.publish(self._list_methods, "system.listMethods")
        self.publish(self._method_help, "system.methodHelp")
        self.publish(self._method_signature, "system.methodSignature")
        self.publish(self._multicall, "system.multicall")
        self.publish(self._get_capabilities, "system.getCapabilities")

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which functions are published."""
        return tuple(self._methods)

    def publish(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        *,
        count_lookups: Callable[[tuple[Any, ...]], int] | None = None,
    ) -> None:
        """Let callers call ``function`` as ``name``, by default its own.

        ``weigh`` tells from its parameters, which may be wrong ones, for how many calls it counts among the
        ``max_calls`` of a multicall; without it that is one.

        Its docstring and annotations are what introspection tells; parameters that do not fit the annotations are a
        fault -32602 before it is called. It returns the answer, a handle (``app.rpc.deferred_result``) that will hold
        it, or an answer that lasts (``app.rpc.cacheable_result``). It may raise a ``Fault`` or what
        ``explain`` knows. Raises ``ValueError`` for a name that is taken or not of XML-RPC's letters, and for
        a function that cannot be called by position.
        """
        name = function.__name__ if name is None else name
        if not _is_name(name) or name in self._methods:
            raise ValueError(f"{name!r} is taken, or no name for a method")
        self._methods[name] = inspect_method(function, name)
        if count_lookups is not None:
            self._weights[name] = count_lookups

    def dispatch(
        self,
        body: bytes,
        *,
        charset: str | None = None,
        on_cacheable: Callable[[IsValid], None] | None = None,
        on_finished: Callable[[str, int | None], None] | None = None,
    ) -> bytes:
        """Return the answer to the request ``body``; ``charset`` is that of its Content-Type, None where it has none.

        ``lasts`` is told of an answer that may be given to the same request again, and for how long that holds.
        ``tell`` is told which method was called, as far as that can be read, and the fault's code, None without one.

        Raises nothing but what ends the greenlet or the process: GreenletExit, KeyboardInterrupt, SystemExit. A
        ``gevent.Timeout`` that a function lets out is its bug, and an internal error.
        """
        began = time.monotonic()
        method, code = "", None
        try:
            call = parse_call(body, charset=charset)
            method = call.method
            value = self._answer(method, call.params, began + self._deadline)
            if isinstance(value, CacheableResult):
                answer = serialize_value(value.value, dialect=call.dialect)
                if on_cacheable is not None:
                    on_cacheable(value.is_valid)
            else:
                answer = serialize_value(value, dialect=call.dialect)
        except (Exception, Timeout) as error:  # noqa: BLE001 - each becomes a fault
            code, answer = _written(self.to_fault(error))
        self._tell(method, code, began)
        if on_finished is not None:
            on_finished(method, code)
        return answer

    def _tell(self, method: str, code: int | None, began: float) -> None:
        name = method if method in self._methods else ""
        self._observer.call_finished(name, code, time.monotonic() - began)

    def to_fault(self, error: BaseException) -> Fault:
        """Return what a caller is told of ``error``; one that nobody can explain is logged here."""
        if isinstance(error, Fault):
            return error
        if isinstance(error, Exception):
            try:
                fault = self._explain(error)
            except Exception as another:  # noqa: BLE001 - logged below, ``error`` being its context
                error = another
            else:
                if fault is not None:
                    return fault
        reference = secrets.token_hex(4)
        log.error("internal error %s", reference, exc_info=error, extra={"reference": reference})
        return Fault(INTERNAL_ERROR, f"internal error, reference {reference}")

    def _answer(self, name: str, params: tuple[Any, ...], ends: float) -> Any:
        value = self._method(name).call(params)
        while isinstance(value, DEFERRED_TYPES):
            value = wait_for_result(value, ends - time.monotonic())
        return value

    def _method(self, name: str) -> Method:
        method = self._methods.get(name)
        if method is None:
            raise Fault(METHOD_NOT_FOUND, f"there is no method {name:.64}")
        return method

    def _list_methods(self) -> list[str]:
        """Return the names of all methods, sorted."""
        return sorted(self._methods)

    def _method_help(self, name: str) -> str:
        """Return what the method does, in the words of its author."""
        return self._method(name).help

    def _method_signature(self, name: str) -> list[list[str]] | str:
        """Return the signatures of the method, each a list of type names, that of the result first; or "undef"."""
        return self._method(name).signatures

    def _get_capabilities(self) -> dict[str, dict[str, Any]]:
        """Return the specifications that this server keeps to, each with its address and version."""
        return CAPABILITIES

    def _multicall(self, calls: list[Any]) -> list[Any]:
        """Make several calls at once, each a struct of methodName and params.

        The answers come in the order of the calls, each an array of the one value or a fault struct.
        """
        if len(calls) > self._max_calls:
            raise Fault(INVALID_PARAMS, f"at most {self._max_calls} calls at once, not {len(calls)}")
        began = time.monotonic()
        allowance = _Allowance(self._max_calls)
        entries = [spawn(self._entry, call, began, allowance) for call in calls]
        try:
            gevent.joinall(entries, timeout=self._deadline)
            return [
                entry.value if entry.ready() else self._late_entry(call, began)
                for call, entry in zip(calls, entries, strict=True)
            ]
        finally:  # those past the deadline, and all if the one who asks is gone
            gevent.killall([entry for entry in entries if not entry.ready()], block=False)

    def _entry(self, call: Any, began: float, allowance: "_Allowance") -> list[Any] | dict[str, Any]:
        """Return the answer to one entry of a multicall, a fault struct if it comes to that."""
        name = ""
        try:
            name, params = _entry_call(call)
            allowance.take(self._weights[name](params) if name in self._weights else 1)
            value = self._answer(name, params, began + self._deadline)
            if isinstance(value, CacheableResult):
                value = value.value
            serialize_value([[value]])  # one that cannot be written is to spoil its own entry only
        except (Exception, Timeout) as error:  # noqa: BLE001 - each becomes a fault
            return self._entry_fault(name, error, began)
        self._tell(name, None, began)
        return [value]

    def _late_entry(self, call: Any, began: float) -> dict[str, Any]:
        match call:
            case {"methodName": str(name)}:
                method = name
            case _:
                method = ""
        return self._entry_fault(method, TimeoutError("the answer is not there in time"), began)

    def _entry_fault(self, name: str, error: BaseException, began: float) -> dict[str, Any]:
        fault = self.to_fault(error)
        self._tell(name, fault.code, began)
        return {"faultCode": fault.code, "faultString": fault.text}


class _Allowance:
    """What the entries of one multicall may weigh in all: a thousand entries of a thousand ids would be a million."""

    def __init__(self, weight: int) -> None:
        self._weight = weight
        self._left = weight

    def take(self, weight: int) -> None:
        """Take so much of it. Raises ``Fault`` -32602 where that is more than is left."""
        if weight > self._left:
            raise Fault(INVALID_PARAMS, f"at most {self._weight} lookups in one multicall")
        self._left -= weight


def _entry_call(call: Any) -> tuple[str, tuple[Any, ...]]:
    """Return method and parameters of an entry; no ``params`` are none, as in a call of its own."""
    match call:
        case {"methodName": "system.multicall"}:
            raise Fault(INVALID_REQUEST, "a multicall within a multicall")
        case {"methodName": str(name), "params": list(params)}:
            return name, tuple(params)
        case {"methodName": str(name)} if "params" not in call:
            return name, ()
    raise Fault(INVALID_REQUEST, "an entry of a multicall is a struct of methodName, a string, and params, an array")


def _written(fault: Fault) -> tuple[int, bytes]:
    # A function of its own: a fault in a variable of the frame that its traceback leads to would be a cycle of garbage.
    return fault.code, serialize_fault(fault.code, fault.text)
