"""The dispatcher: parses a request, calls the published function that it names, and serialises the response.

Every ``Exception`` becomes a fault response. Methods are looked up in a dict, never by ``getattr``, so a client can
call only the functions that were published.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from gevent import Timeout

from app.domain.events import NULL_OBSERVER, Observer
from app.rpc.cacheable_result import CacheableResult, IsValid
from app.rpc.deferred_result import DEFERRED_TYPES, wait_for_result
from app.rpc.faults import INTERNAL_ERROR, METHOD_NOT_FOUND, Fault
from app.rpc.introspection import CAPABILITIES, Method, inspect_method
from app.rpc.multicall import Multicall
from app.rpc.parser import parse_call
from app.rpc.serializer import serialize_fault, serialize_value

log: Final = logging.getLogger(__name__)

_is_name: Final = re.compile(r"[A-Za-z0-9_.:/]{1,256}").fullmatch


class Dispatcher:
    """The published functions, and ``dispatch``, which turns a request into a response.

    ``map_error`` maps an error of the domain to a ``Fault``, or returns None for any other exception. Those are logged
    with a traceback, and the client gets an internal error with a reference to the log record. ``max_calls`` limits the
    entries of one ``system.multicall``, and their lookups. ``deadline`` is how many seconds after the start of a call
    its deferred result is abandoned; the ``TimeoutError`` is mapped by ``map_error`` like other exceptions.
    """

    def __init__(
        self,
        *,
        map_error: Callable[[Exception], Fault | None],
        max_calls: int = 1000,
        timeout: float = 10.0,
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._map_error = map_error
        self._observer = observer
        self._timeout = timeout
        self._methods: dict[str, Method] = {}
        self._lookup_counters: dict[str, Callable[[tuple[Any, ...]], int]] = {}
        multicall = Multicall(
            max_calls=max_calls,
            timeout=timeout,
            call_method=self._call_method,
            count_lookups=self._count_lookups,
            to_fault=self.to_fault,
            report_call=self._report_call,
        )
        self.publish(self._list_methods, "system.listMethods")
        self.publish(self._method_help, "system.methodHelp")
        self.publish(self._method_signature, "system.methodSignature")
        self.publish(multicall.run, "system.multicall")
        self.publish(self._get_capabilities, "system.getCapabilities")

    @property
    def method_names(self) -> tuple[str, ...]:
        """The names of the published methods."""
        return tuple(self._methods)

    def publish(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        *,
        count_lookups: Callable[[tuple[Any, ...]], int] | None = None,
    ) -> None:
        """Publish ``function`` as the method ``name``, by default under its own name.

        Its docstring and annotations are the method's help and signatures. Parameters of other types than annotated
        are fault -32602. The function may return its result, a deferred result (``app.rpc.deferred_result``) or a
        cacheable one (``app.rpc.cacheable_result``). It may raise ``Fault``, or an exception that ``map_error`` maps.

        ``count_lookups`` returns how many lookups a call with these parameters makes, which a multicall adds up. The
        parameters may be invalid. Without it a call is one lookup.

        Raises ``ValueError`` for a name that is invalid or already published, and for a function that cannot be called
        with positional arguments alone.
        """
        name = function.__name__ if name is None else name
        if not _is_name(name) or name in self._methods:
            raise ValueError(f"{name!r} is already published or is no valid method name")
        self._methods[name] = inspect_method(function, name)
        if count_lookups is not None:
            self._lookup_counters[name] = count_lookups

    def dispatch(
        self,
        body: bytes,
        *,
        charset: str | None = None,
        on_cacheable: Callable[[IsValid], None] | None = None,
        on_finished: Callable[[str, int | None], None] | None = None,
    ) -> bytes:
        """Return the response to the request ``body``. ``charset`` is that of its Content-Type, or None.

        ``on_cacheable`` is called if the response may be reused for an identical request, with the function that says
        whether it is still valid. ``on_finished`` is called with the method's name as in the request, "" if it could
        not be parsed, and the fault code, None without a fault.

        Raises only ``GreenletExit``, ``KeyboardInterrupt`` and ``SystemExit``, which end the greenlet or the process. A
        ``gevent.Timeout`` that a function lets escape is a bug of the function, and becomes an internal error.
        """
        started_at = time.monotonic()
        method, fault_code = "", None
        try:
            call = parse_call(body, charset=charset)
            method = call.method
            result = self._call_method(method, call.params, started_at + self._timeout)
            if isinstance(result, CacheableResult):
                response = serialize_value(result.value, dialect=call.dialect)
                if on_cacheable is not None:
                    on_cacheable(result.is_valid)
            else:
                response = serialize_value(result, dialect=call.dialect)
        except (Exception, Timeout) as error:  # noqa: BLE001 - every error becomes a fault
            fault_code, response = _code_and_response(self.to_fault(error))
        self._report_call(method, fault_code, started_at)
        if on_finished is not None:
            on_finished(method, fault_code)
        return response

    def to_fault(self, error: BaseException) -> Fault:
        """Return the fault for ``error``. One that ``map_error`` does not map is logged, and is an internal error."""
        if isinstance(error, Fault):
            return error
        if isinstance(error, Exception):
            try:
                fault = self._map_error(error)
            except Exception as map_error_failure:  # noqa: BLE001 - logged below; its context is the original error
                error = map_error_failure
            else:
                if fault is not None:
                    return fault
        reference = secrets.token_hex(4)
        log.error("internal error %s", reference, exc_info=error, extra={"reference": reference})
        return Fault(INTERNAL_ERROR, f"internal error, reference {reference}")

    def _call_method(self, name: str, params: tuple[Any, ...], deadline: float) -> Any:
        result = self._find_method(name).call(params)
        while isinstance(result, DEFERRED_TYPES):
            result = wait_for_result(result, deadline - time.monotonic())
        return result

    def _find_method(self, name: str) -> Method:
        method = self._methods.get(name)
        if method is None:
            raise Fault(METHOD_NOT_FOUND, f"there is no method {name:.64}")
        return method

    def _count_lookups(self, name: str, params: tuple[Any, ...]) -> int:
        count = self._lookup_counters.get(name)
        return 1 if count is None else count(params)

    def _report_call(self, name: str, fault_code: int | None, started_at: float) -> None:
        published_name = name if name in self._methods else ""
        self._observer.call_finished(published_name, fault_code, time.monotonic() - started_at)

    def _list_methods(self) -> list[str]:
        """Return the names of all methods, sorted."""
        return sorted(self._methods)

    def _method_help(self, name: str) -> str:
        """Return the documentation of the method."""
        return self._find_method(name).help

    def _method_signature(self, name: str) -> list[list[str]] | str:
        """Return the signatures of the method, each a list of type names, that of the result first; or "undef"."""
        return self._find_method(name).signatures

    def _get_capabilities(self) -> dict[str, dict[str, Any]]:
        """Return the specifications that this server implements, each with its URL and version."""
        return CAPABILITIES


def _code_and_response(fault: Fault) -> tuple[int, bytes]:
    # In a function of its own: a local variable for the fault in dispatch() would be a reference cycle, from the frame
    # to the fault, its traceback and back to the frame.
    return fault.code, serialize_fault(fault.code, fault.text)
