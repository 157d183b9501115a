"""The client: what any caller of the service does, with no more than Python's own xmlrpc.client.

Each simulated client is a thread with a connection of its own, as a ServerProxy is not made to be shared.
"""

import time
import xmlrpc.client
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from xml.parsers.expat import ExpatError

# What goes wrong below a fault: the connection, HTTP, or what is in the answer.
_BROKEN = (OSError, HTTPException, xmlrpc.client.Error, ExpatError)

# More than the service's own deadline for a call: it is the service that should say that something took too long.
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one id: a URL, or else a fault, whose code is None where no fault came either."""

    content_id: int
    url: str | None = None
    fault: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """All ids asked for once: the answers in the order of the ids, the seconds in all and the seconds of each call."""

    answers: tuple[Answer, ...]
    seconds: float
    calls: tuple[float, ...]


class _Transport(xmlrpc.client.Transport):
    """xmlrpc.client's own way to a server, except that it does not wait for ever."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = self._timeout
        return connection


def is_answering(url: str) -> bool:
    """Whether the service at a URL tells its sources within a second."""
    try:
        with _connect(url, timeout=1.0) as service:
            return bool(service.list_sources())
    except _BROKEN:
        return False


def ask_one_by_one(url: str, ids: Sequence[int]) -> Round:
    """Call get_cover for each id, one client, one call after the other."""
    begun = time.perf_counter()
    asked = _ask_each(url, ids)
    return Round(tuple(answer for answer, _ in asked), time.perf_counter() - begun, tuple(took for _, took in asked))


def ask_together(url: str, ids: Sequence[int], *, clients: int) -> Round:
    """Call get_cover for each id, by several clients at once that share out the ids."""
    begun = time.perf_counter()
    pool = ThreadPoolExecutor(clients)
    try:
        shares = pool.map(lambda first: _ask_each(url, ids[first::clients]), range(clients))
        asked = [pair for share in shares for pair in share]
    finally:
        # Not waited for: when the demo is told to end in the middle, the service's end is what ends these calls.
        pool.shutdown(wait=False, cancel_futures=True)
    seconds = time.perf_counter() - begun
    by_id = {answer.content_id: answer for answer, _ in asked}
    return Round(tuple(by_id[content_id] for content_id in ids), seconds, tuple(took for _, took in asked))


def ask_in_one_call(url: str, ids: Sequence[int]) -> Round:
    """Call get_covers once, for all ids."""
    begun = time.perf_counter()
    try:
        with _connect(url) as service:
            covers = service.get_covers(list(ids))
    except xmlrpc.client.Fault as fault:
        answers = [Answer(content_id, fault=fault.faultCode, text=fault.faultString) for content_id in ids]
    except _BROKEN as error:
        answers = [Answer(content_id, text=repr(error)) for content_id in ids]
    else:
        found = covers if isinstance(covers, dict) else {}
        answers = [_entry(content_id, found.get(str(content_id))) for content_id in ids]
    seconds = time.perf_counter() - begun
    return Round(tuple(answers), seconds, (seconds,))


def _connect(url: str, *, timeout: float = _PATIENCE) -> xmlrpc.client.ServerProxy:
    """A proxy of the service at a URL, whose answers may take `timeout` seconds each; close it by `with`."""
    return xmlrpc.client.ServerProxy(url, transport=_Transport(timeout))


def _entry(content_id: int, entry: object) -> Answer:
    """The answer that one entry of get_covers is: a URL or a struct like a fault's."""
    if isinstance(entry, str):
        return Answer(content_id, url=entry)
    if isinstance(entry, dict) and isinstance(entry.get("faultCode"), int):
        return Answer(content_id, fault=entry["faultCode"], text=str(entry.get("faultString")))
    return Answer(content_id, text=f"neither a URL nor a fault: {entry!r}")


def _ask_each(url: str, ids: Sequence[int]) -> list[tuple[Answer, float]]:
    """The answers of get_cover over one connection, each with the seconds that it took."""
    asked = []
    with _connect(url) as service:
        for content_id in ids:
            begun = time.perf_counter()
            answer = _ask(service, content_id)
            asked.append((answer, time.perf_counter() - begun))
    return asked


def _ask(service: xmlrpc.client.ServerProxy, content_id: int) -> Answer:
    try:
        return Answer(content_id, url=str(service.get_cover(content_id)))
    except xmlrpc.client.Fault as fault:
        return Answer(content_id, fault=fault.faultCode, text=fault.faultString)
    except _BROKEN as error:
        return Answer(content_id, text=repr(error))
