"""Tests that lookups create no reference cycles.

A traceback and a frame that refer to each other would keep whole pages in memory until the garbage collector runs.
"""

import gc
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import gevent
import pytest
from gevent.event import Event

from app.concurrency.clock import steady_clock
from app.config.loading import load_settings
from app.config.source_registry import SourceRegistry
from app.domain.errors import (
    NoSuchItem,
    OriginDown,
    Overloaded,
    QueueTimeout,
    ServiceError,
    Throttled,
    TooSlow,
)
from app.domain.records import ItemId, LookupResult, Outcome, decode_record, encode_record
from app.lookup.repository import CoverRepository
from app.lookup.service import LookupService, PendingLookup, StartedLookup
from app.lookup.single_flight import SingleFlight
from app.main import build_cover_page_reader, open_store, with_circuit_breaker
from app.store.lru import LruCache
from tests.store.dictionary import DictionaryStore
from tests.support.lookup_harness import SHOP, LookupHarness, Script, blocked, picture
from tests.support.scripted_origin import Barrier, Behaviour, Origin, cover, page, raw, redirect, reset
from tests.support.service import CONFIG

PAGE = b"x" * 100_000
OK = b"HTTP/1.1 200 OK\r\n"

CASES: dict[str, tuple[Behaviour, Outcome]] = {
    "found": (cover(1), Outcome.FOUND),
    "no cover": (page(PAGE), Outcome.NO_COVER),
    "no such item": (page(PAGE, status="404 Not Found"), Outcome.NO_SUCH_ITEM),
    "blocked": (page(PAGE, status="403 Forbidden"), Outcome.BLOCKED),
    "throttled": (page(PAGE, status="429 Slow Down"), Outcome.THROTTLED),
    "server error": (page(PAGE, status="500 No"), Outcome.ORIGIN_FAILED),
    "reset": (reset, Outcome.ORIGIN_FAILED),
    "cut": (raw(OK + b"Content-Length: 200000\r\n\r\n" + PAGE), Outcome.ORIGIN_FAILED),
    "broken head": (raw(OK + b"Bad Name: x\r\n\r\n"), Outcome.ORIGIN_FAILED),
    "broken chunk": (
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\nZZ\r\n" % (len(PAGE), PAGE)),
        Outcome.ORIGIN_FAILED,
    ),
    "broken gzip": (
        raw(OK + b"Content-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n" + PAGE),
        Outcome.ORIGIN_FAILED,
    ),
    "too large": (raw(OK + b"Content-Length: 400000\r\n\r\n" + 4 * PAGE), Outcome.ORIGIN_FAILED),
    "longer than it says": (raw(OK + b"Content-Length: 3\r\n\r\nabc" + OK), Outcome.ORIGIN_FAILED),
    "a redirect elsewhere": (redirect("http://other.example/"), Outcome.ORIGIN_FAILED),
    "a redirect in circles": (redirect("/context/detail/id/3"), Outcome.ORIGIN_FAILED),
    "too slow": (Barrier(page(PAGE)), Outcome.TOO_SLOW),
}

#: Origins that cannot be reached.
UNREACHABLE = {"refused": "http://127.0.0.1:1", "unknown name": "http://nosuch.invalid"}

#: Errors that a fetch may raise. The last two are a bug, and a timeout that escapes from other code.
ERRORS: list[Callable[[], BaseException]] = [
    lambda: OriginDown("no connection"),
    lambda: Throttled("slow down", 30),
    lambda: NoSuchItem("none"),
    lambda: Overloaded("too many requests"),
    lambda: QueueTimeout("no slot in time"),
    lambda: ZeroDivisionError("a bug"),
    lambda: gevent.Timeout(9),
]


@pytest.fixture
def garbage() -> Iterator[list[Any]]:
    """The objects that the garbage collector finds from now on."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def lookup(origin_url: str, folder: Path, timeout: float = 5) -> LookupService:
    """Return a lookup service, assembled as in ``app.main``."""
    file = folder / "covers.toml"
    file.write_text(CONFIG.format(origin=origin_url) + f"max_page = 300_000\ntimeout = {timeout}\n")
    settings = load_settings({"COVERS_CONFIG": str(file)})
    store, clock = with_circuit_breaker(open_store(settings)), steady_clock()
    sources = SourceRegistry(settings.sources, "ozon")
    memory = LruCache(100, encode=encode_record, decode=decode_record, is_positive=lambda record: record.is_found)
    return LookupService(
        sources=sources,
        repository=CoverRepository(sources=sources, memory=memory, store=store, clock=clock),
        single_flight=SingleFlight[str, LookupResult](100),
        cover_pages=build_cover_page_reader(settings, store, clock),
        deadline=10,
        clock=clock,
    )


@pytest.mark.parametrize("case", CASES)
def test_a_lookup_creates_no_reference_cycle(case: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    behaviour, outcome = CASES[case]
    with Origin().serving() as origin:
        for item in (1, 2, 3):
            origin.item(item, behaviour)
        service = lookup(origin.url, tmp_path, timeout=0.05 if case == "too slow" else 5)
        assert_no_cycles(lambda item: service.find(ItemId("ozon", item)).record.outcome, outcome, request)
        origin.clear()


@pytest.mark.parametrize("url", UNREACHABLE.values(), ids=UNREACHABLE.keys())
def test_a_lookup_at_an_unreachable_origin_creates_no_reference_cycle(
    url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    service = lookup(url, tmp_path)
    assert_no_cycles(lambda item: service.find(ItemId("ozon", item)).record.outcome, Outcome.ORIGIN_FAILED, request)


def raising(make_error: Callable[[], BaseException]) -> Script:
    """Return the script of a page whose fetch raises a new error each time."""

    def fetch() -> bytes:
        body = PAGE[:]  # keeps the frame interesting: such a page must be freed at once
        raise make_error() from ValueError(len(body))

    return fetch


@pytest.mark.parametrize("make_error", ERRORS, ids=[type(make_error()).__name__ for make_error in ERRORS])
@pytest.mark.parametrize("state", ["not cached", "cached"])
@pytest.mark.parametrize("store", [DictionaryStore, None], ids=["store", "no store"])
@pytest.mark.parametrize("waiters", [0, 1, 3])
def test_a_failed_flight_creates_no_reference_cycle(
    make_error: Callable[[], BaseException],
    state: str,
    store: type[DictionaryStore] | None,
    waiters: int,
    request: pytest.FixtureRequest,
) -> None:
    """The flight, the copies of its error, their tracebacks and the frames of the callers are freed at once.

    The test fails if a flight keeps the error that its function has raised.
    """
    harness = LookupHarness(store=None if store is None else store())
    service = harness.lookup()
    if state == "cached":
        harness.pages = {item: picture("/cover.jpg") for item in ("1", "2")}
        for item in harness.pages:
            service.find(ItemId("shop", item))
        harness.pass_time(SHOP.ttl + SHOP.grace)
    harness.pages = {item: raising(make_error) for item in ("1", "2")}

    def find(item: str) -> None:
        with suppress(ServiceError):
            service.find(ItemId("shop", item))

    def start_and_find(item: str) -> bool:
        service.begin(ItemId("shop", item))
        gevent.joinall([gevent.spawn(find, item) for _ in range(waiters)])
        gevent.sleep(0.01)
        harness.deadlines.clear()
        return True

    logging.disable(logging.ERROR)  # the records that pytest collects have the traceback of a bug
    try:
        assert_no_cycles(start_and_find, expected=True, request=request)
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("end", ["timeout", "killed"])
def test_a_caller_that_leaves_a_flight_creates_no_reference_cycle(end: str, request: pytest.FixtureRequest) -> None:
    harness, go = LookupHarness(), Event()
    harness.pages = {item: blocked(go, "/cover.jpg") for item in ("1", "2")}
    service = harness.lookup()

    def wait(started: StartedLookup, deadline: float) -> None:
        with suppress(TooSlow):
            service.wait(started, deadline)

    def leave(item: str) -> bool:
        started = service.begin(ItemId("shop", item))
        caller = gevent.spawn(wait, started, harness.clock.now if end == "timeout" else math.inf)
        gevent.sleep(0)
        if end == "killed":
            caller.kill()
        caller.join()
        return isinstance(started, PendingLookup)

    try:
        assert_no_cycles(leave, expected=True, request=request)
    finally:
        go.set()


def assert_no_cycles(call: Callable[[str], object], expected: object, request: pytest.FixtureRequest) -> None:
    """Call a function with the item 1, which creates the objects that exist once, and then with the item 2."""
    call("1")
    garbage = request.getfixturevalue("garbage")
    assert gevent.spawn(call, "2").get() == expected
    gevent.sleep(0.01)
    gc.collect()
    assert [_name(candidate) for candidate in garbage if _is_from_app(candidate)] == []


def _is_from_app(candidate: object) -> bool:
    if isinstance(candidate, FrameType):
        return "/app/" in candidate.f_code.co_filename
    return type(candidate).__module__.startswith("app.") or isinstance(candidate, BaseException)


def _name(candidate: object) -> str:
    return candidate.f_code.co_qualname if isinstance(candidate, FrameType) else repr(candidate)
