"""The client of the demo. It uses only xmlrpc.client of the standard library.

Each simulated client is a thread with its own connection, because a ServerProxy is not thread-safe.
"""

import time
import xmlrpc.client
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from xml.parsers.expat import ExpatError

# The exceptions of a call: errors of the connection, of HTTP and of the XML, and faults.
_CALL_ERRORS = (OSError, HTTPException, xmlrpc.client.Error, ExpatError)

# In seconds. Longer than the service's default deadline: the service reports that a lookup took too long first.
_CALL_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Result:
    """The result for one id: a URL, or a fault and its text. Without a response, `fault` is None."""

    content_id: int
    url: str | None = None
    fault: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One lookup of all ids: the results in the order of the ids, the seconds in all, and the seconds of each call."""

    results: tuple[Result, ...]
    seconds: float
    call_seconds: tuple[float, ...]


class _Transport(xmlrpc.client.Transport):
    """The transport of xmlrpc.client with a timeout, which it lacks."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = self._timeout
        return connection


def is_ready(url: str) -> bool:
    """Whether the service at a URL responds to `list_sources` within a second."""
    try:
        with _connect(url, timeout=1.0) as service:
            return bool(service.list_sources())
    except _CALL_ERRORS:
        return False


def look_up_sequentially(url: str, ids: Sequence[int]) -> Run:
    """Call get_cover for each id, one call after the other."""
    started_at = time.perf_counter()
    timed = _timed_calls(url, ids)
    elapsed = time.perf_counter() - started_at
    return Run(tuple(result for result, _ in timed), elapsed, tuple(seconds for _, seconds in timed))


def look_up_concurrently(url: str, ids: Sequence[int], *, clients: int) -> Run:
    """Call get_cover for each id. The ids are divided among `clients` concurrent clients."""
    started_at = time.perf_counter()
    pool = ThreadPoolExecutor(clients)
    try:
        shares = pool.map(lambda first: _timed_calls(url, ids[first::clients]), range(clients))
        timed = [pair for share in shares for pair in share]
    finally:
        # Without waiting: if the demo is interrupted, these calls end when the service does.
        pool.shutdown(wait=False, cancel_futures=True)
    elapsed = time.perf_counter() - started_at
    by_id = {result.content_id: result for result, _ in timed}
    return Run(tuple(by_id[content_id] for content_id in ids), elapsed, tuple(seconds for _, seconds in timed))


def look_up_in_one_call(url: str, ids: Sequence[int]) -> Run:
    """Call get_covers once, for all ids."""
    started_at = time.perf_counter()
    try:
        with _connect(url) as service:
            covers = service.get_covers(list(ids))
    except xmlrpc.client.Fault as fault:
        results = [Result(content_id, fault=fault.faultCode, text=fault.faultString) for content_id in ids]
    except _CALL_ERRORS as error:
        results = [Result(content_id, text=repr(error)) for content_id in ids]
    else:
        entries = covers if isinstance(covers, dict) else {}
        results = [_parse_entry(content_id, entries.get(str(content_id))) for content_id in ids]
    elapsed = time.perf_counter() - started_at
    return Run(tuple(results), elapsed, (elapsed,))


def _connect(url: str, *, timeout: float = _CALL_TIMEOUT) -> xmlrpc.client.ServerProxy:
    """Return a proxy of the service at a URL: a context manager that closes its connection."""
    return xmlrpc.client.ServerProxy(url, transport=_Transport(timeout))


def _parse_entry(content_id: int, entry: object) -> Result:
    """Return the result that an entry of get_covers describes: a URL, or a struct with the members of a fault."""
    if isinstance(entry, str):
        return Result(content_id, url=entry)
    if isinstance(entry, dict) and isinstance(entry.get("faultCode"), int):
        return Result(content_id, fault=entry["faultCode"], text=str(entry.get("faultString")))
    return Result(content_id, text=f"neither a URL nor a fault: {entry!r}")


def _timed_calls(url: str, ids: Sequence[int]) -> list[tuple[Result, float]]:
    """Call get_cover for each id over one connection; return each result with the seconds that the call took."""
    timed = []
    with _connect(url) as service:
        for content_id in ids:
            started_at = time.perf_counter()
            result = _call(service, content_id)
            timed.append((result, time.perf_counter() - started_at))
    return timed


def _call(service: xmlrpc.client.ServerProxy, content_id: int) -> Result:
    try:
        return Result(content_id, url=str(service.get_cover(content_id)))
    except xmlrpc.client.Fault as fault:
        return Result(content_id, fault=fault.faultCode, text=fault.faultString)
    except _CALL_ERRORS as error:
        return Result(content_id, text=repr(error))
