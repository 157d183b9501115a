"""Tests that lookups create no reference cycles.

A traceback and a frame that refer to each other would keep whole pages in memory until the garbage collector runs.
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import gevent
import pytest

from app.concurrency.clock import steady_clock
from app.config.loading import load_settings
from app.config.sources import SourceRegistry
from app.domain.records import ItemId, LookupResult, Outcome, decode_record, encode_record
from app.lookup.repository import CoverRepository
from app.lookup.service import LookupService
from app.lookup.single_flight import SingleFlight
from app.main import build_cover_page_reader, open_store, with_circuit_breaker
from app.store.lru import LruCache
from tests.support.scripted_origin import Behaviour, Origin, cover, page, raw, redirect, reset
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
}


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


def lookup(origin: Origin, folder: Path) -> LookupService:
    """Return a lookup service, assembled as in ``app.main``."""
    file = folder / "covers.toml"
    file.write_text(CONFIG.format(origin=origin.url) + "max_page = 300_000\n")
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
        service = lookup(origin, tmp_path)

        def outcome_of(item: int) -> Outcome:
            return service.find(ItemId("ozon", str(item))).record.outcome

        outcome_of(1)  # creates the objects that exist once
        garbage = request.getfixturevalue("garbage")
        assert gevent.spawn(outcome_of, 2).get() is outcome
        gevent.sleep(0.01)
        gc.collect()
        assert [_name(candidate) for candidate in garbage if _is_from_app(candidate)] == []


def _is_from_app(candidate: object) -> bool:
    if isinstance(candidate, FrameType):
        return "/app/" in candidate.f_code.co_filename
    return type(candidate).__module__.startswith("app.") or isinstance(candidate, BaseException)


def _name(candidate: object) -> str:
    return candidate.f_code.co_qualname if isinstance(candidate, FrameType) else repr(candidate)
