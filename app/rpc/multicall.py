"""``system.multicall``: runs the calls of one request concurrently and returns their results in order.

Specified at http://www.xmlrpc.com/discuss/msgReader$1208.
"""

import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent import Timeout

from app.concurrency.greenlets import spawn
from app.rpc.cacheable_result import CacheableResult
from app.rpc.faults import INVALID_PARAMS, INVALID_REQUEST, Fault
from app.rpc.serializer import serialize_value


class Multicall:
    """The method ``system.multicall``.

    ``max_calls`` limits the entries of one multicall, and the lookups of all its entries together. Entries that are not
    finished ``timeout`` seconds after the start become faults. The dispatcher provides the other functions:

    - ``call_method(name, params, deadline)`` calls a method; the deadline is a time of ``time.monotonic``.
    - ``count_lookups(name, params)`` returns how many lookups a call makes. The parameters may be invalid.
    - ``to_fault(error)`` maps an exception to a fault.
    - ``report_call(name, fault_code, started_at)`` reports a finished call to the observer.
    """

    def __init__(
        self,
        *,
        max_calls: int,
        timeout: float,
        call_method: Callable[[str, tuple[Any, ...], float], Any],
        count_lookups: Callable[[str, tuple[Any, ...]], int],
        to_fault: Callable[[BaseException], Fault],
        report_call: Callable[[str, int | None, float], None],
    ) -> None:
        self._max_calls = max_calls
        self._timeout = timeout
        self._call_method = call_method
        self._count_lookups = count_lookups
        self._to_fault = to_fault
        self._report_call = report_call

    def run(self, calls: list[Any]) -> list[Any]:
        """Make several calls at once, each a struct of methodName and params.

        Returns the results in the order of the calls: each is an array of one value, or a fault struct.
        """
        if len(calls) > self._max_calls:
            raise Fault(INVALID_PARAMS, f"at most {self._max_calls} calls at once, not {len(calls)}")
        started_at = time.monotonic()
        budget = _LookupBudget(self._max_calls)
        greenlets = [spawn(self._run_entry, entry, started_at, budget) for entry in calls]
        try:
            gevent.joinall(greenlets, timeout=self._timeout)
            return [
                greenlet.value if greenlet.ready() else self._late_entry(entry, started_at)
                for entry, greenlet in zip(calls, greenlets, strict=True)
            ]
        finally:  # unfinished at the deadline, or because this greenlet was killed when the client disconnected
            gevent.killall([greenlet for greenlet in greenlets if not greenlet.ready()], block=False)

    def _run_entry(self, entry: Any, started_at: float, budget: "_LookupBudget") -> list[Any] | dict[str, Any]:
        """Return the result of one entry: an array of one value, or a fault struct."""
        name = ""
        try:
            name, params = _parse_entry(entry)
            budget.spend(self._count_lookups(name, params))
            result = self._call_method(name, params, started_at + self._timeout)
            if isinstance(result, CacheableResult):
                result = result.value
            serialize_value([[result]])  # a result that cannot be serialised fails this entry, not the whole response
        except (Exception, Timeout) as error:  # noqa: BLE001 - every error becomes a fault
            return self._fault_struct(name, error, started_at)
        self._report_call(name, None, started_at)
        return [result]

    def _late_entry(self, entry: Any, started_at: float) -> dict[str, Any]:
        """Return the fault struct of an entry that is unfinished at the deadline, and may not have been parsed."""
        name = entry.get("methodName") if isinstance(entry, dict) else None
        error = TimeoutError("the result was not ready before the deadline")
        return self._fault_struct(name if isinstance(name, str) else "", error, started_at)

    def _fault_struct(self, name: str, error: BaseException, started_at: float) -> dict[str, Any]:
        fault = self._to_fault(error)
        self._report_call(name, fault.code, started_at)
        return {"faultCode": fault.code, "faultString": fault.text}


class _LookupBudget:
    """The lookups that all entries of a multicall may make: 1,000 entries of 1,000 ids each would be a million."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._remaining = limit

    def spend(self, lookups: int) -> None:
        """Subtract ``lookups``. Raises ``Fault`` -32602 if that is more than what remains."""
        if lookups > self._remaining:
            raise Fault(INVALID_PARAMS, f"at most {self._limit} lookups in one multicall")
        self._remaining -= lookups


def _parse_entry(entry: Any) -> tuple[str, tuple[Any, ...]]:
    """Return the method name and the parameters of an entry; ``params`` may be absent, as in a single call."""
    match entry:
        case {"methodName": "system.multicall"}:
            raise Fault(INVALID_REQUEST, "a multicall within a multicall")
        case {"methodName": str(name), "params": list(params)}:
            return name, tuple(params)
        case {"methodName": str(name)} if "params" not in entry:
            return name, ()
    raise Fault(INVALID_REQUEST, "a multicall entry must be a struct of methodName (a string) and params (an array)")
