"""The one place where objects meet: settings in, the WSGI application out."""

import gc
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import gevent

from app.concurrency.clock import Clock, steady_clock
from app.config.settings import Settings, place_of
from app.config.sources import Registry
from app.domain.errors import SettingsError
from app.domain.events import NOBODY, Observer
from app.domain.records import Answer, CoverRecord, decode_record, encode_record
from app.fetch.host_health import Hosts, HostState
from app.fetch.host_limiter import Gate
from app.fetch.http_request import host_of
from app.fetch.page_fetcher import Fetcher
from app.fetch.polite_client import Visitor
from app.fetch.process_semaphore import Places, default_path
from app.fetch.robots import Robots, RobotsFile
from app.lookup.cover_page import Inquiry
from app.lookup.repository import Known
from app.lookup.service import Lookup
from app.lookup.single_flight import Flights
from app.methods import PUBLISHED, Methods, service_fault
from app.rpc.dispatcher import Dispatcher
from app.store.base import NoStore, Store
from app.store.circuit_breaker import GuardedStore
from app.store.lru import Memory
from app.store.redis import RedisStore
from app.store.sqlite import SqliteStore
from app.telemetry.counters import Labels, Tally
from app.telemetry.hub_lag import Pulse
from app.telemetry.prometheus import Metrics
from app.telemetry.worker_slot import seat_in_force
from app.web.cover_endpoint import CoverHandler
from app.web.health import Health
from app.web.metrics_endpoint import Exposition
from app.web.request_id import Identified
from app.web.router import Application
from app.web.rpc_endpoint import RpcHandler
from app.web.static_files import PageHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_log = logging.getLogger(__name__)

#: Lookups under way at once in a worker, waiting ones included; each is a greenlet of some 20 kB. At most half of them
#: wait for one host: the others' covers are looked up meanwhile.
_MAX_FLIGHTS = 4096

#: A lookup that runs out of time may have an old cover to answer with: the dispatcher, which knows of none, gives up on
#: it this many seconds later.
_LAST_WORD_SECONDS = 0.5

#: A worker hears at this interval, in seconds, what was forgotten elsewhere.
_NEWS_SECONDS = 0.5


def build_wsgi(settings: Settings) -> "WSGIApplication":
    """Return the application that serves by these settings, and begin to hear the store's news in the background."""
    # A thread that parses a page has the interpreter for so long at a time, and a call switches some twenty times.
    sys.setswitchinterval(0.0002)
    clock, seat = steady_clock(), seat_in_force()
    sources = Registry(settings.sources, settings.default_source)
    tally = Tally(seat.board, seat.row, labels_of(settings), monotonic=time.monotonic)
    store = guarded(open_store(settings), tally)
    memory = Memory[CoverRecord](
        settings.lru_size,
        encode=encode_record,
        decode=decode_record,
        is_precious=lambda record: record.is_found,
    )
    lookup = Lookup(
        sources=sources,
        known=Known(sources=sources, memory=memory, store=store, clock=clock, observer=tally),
        flights=Flights[str, Answer](_MAX_FLIGHTS, tally),
        inquire=build_inquiry(settings, store, clock, tally).ask,
        deadline=settings.deadline,
        clock=clock,
        observer=tally,
    )
    dispatcher = Dispatcher(
        explain=service_fault,
        max_calls=settings.max_calls,
        deadline=settings.deadline + _LAST_WORD_SECONDS,
        observer=tally,
    )
    methods = Methods(
        lookup=lookup,
        sources=sources,
        max_calls=settings.max_calls,
        admin_token=settings.admin_token,
        fault_of=dispatcher.fault_of,
        clock=clock,
    )
    for function, weigh in methods.published():
        dispatcher.publish(function, weigh=weigh)
    if store.is_shared:
        gevent.spawn(_hear_for_ever, lookup)
    pulse = Pulse(time.monotonic)
    gevent.spawn(pulse.go_on, lambda: tally.beat(lag=pulse.worst(), due=pulse.due, entries=len(memory)))
    rpc = RpcHandler(dispatch=dispatcher.dispatch, max_body=settings.max_body)
    covers = CoverHandler(sources=sources, lookup=lookup, fault_of=dispatcher.fault_of, clock=clock)
    page = PageHandler()
    health = Health(store=store, pulse=pulse, is_leaving=seat.is_leaving)
    metrics = Exposition(Metrics(seat.board, monotonic=time.monotonic).text)
    routes = Application(
        {
            "/RPC2": {"POST": rpc},
            "/cover/*": {"GET": covers, "HEAD": covers},
            "/": {"GET": page, "HEAD": page},
            "/static/*": {"GET": page, "HEAD": page},
            "/healthz": {"GET": health.live, "HEAD": health.live},
            "/readyz": {"GET": health.ready, "HEAD": health.ready},
            "/metrics": {"GET": metrics, "HEAD": metrics},
        }
    )
    application = Identified(routes)
    _set_garbage_aside()
    return application


def labels_of(settings: Settings) -> Labels:
    """Return by what is counted."""
    sources = Registry(settings.sources, settings.default_source)
    pages = [source.page_url for source in sources.values() if not source.page_url.names_host]
    return Labels(
        methods=(*Dispatcher(explain=service_fault).names, *PUBLISHED),
        sources=tuple(sources),
        hosts=tuple({host_of(page.replace("{id}", "")): None for page in pages}),
    )


def build_inquiry(
    settings: Settings, store: GuardedStore[CoverRecord], clock: Clock, observer: Observer = NOBODY
) -> Inquiry:
    """Return what asks origins, with manners that hold over all workers of this machine."""
    visitor = Visitor(
        fetcher=Fetcher(user_agent=settings.user_agent, wall=time.time),
        gate=Gate(
            settings.fetch_concurrency,
            places=Places(default_path()),
            most_waiting=_MAX_FLIGHTS // 2,
            clock=time.monotonic,
        ),
        hosts=Hosts(shelf=store.shelf("@host:", HostState), clock=clock, observer=observer),
        robots=Robots(user_agent=settings.user_agent, shelf=store.shelf("@robots:", RobotsFile), clock=clock),
        clock=time.monotonic,
        observer=observer,
    )
    return Inquiry(visitor)


def guarded(store: Store, observer: Observer = NOBODY) -> GuardedStore[CoverRecord]:
    """Return the store behind a guard, for records of covers."""
    return GuardedStore[CoverRecord](
        store, encode=encode_record, decode=decode_record, clock=time.monotonic, observer=observer
    )


def open_store(settings: Settings) -> Store:
    """Return the store that the settings name. It opens nothing before it is asked for something.

    Raises:
        SettingsError: the store cannot be what its URL says.

    """
    kind, _, path = settings.store.partition(":")
    if kind == "none":
        return NoStore()
    if kind == "sqlite":
        return SqliteStore(Path(path), max_rows=settings.store_size, clock=time.time)
    try:
        return RedisStore(settings.store)
    except ValueError as error:
        raise SettingsError(f"{place_of('store', os.environ)}: {error}") from error


def _set_garbage_aside() -> None:
    """Have the collector of cycles look at less, and less often: it took a sixth of the time of a lookup.

    All that is there by now stays to the end, the tables of memory among it, and needs no looking at. What a lookup
    leaves behind goes by itself, pages above all: tests see to it that no failure makes a cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 10)


def _hear_for_ever(lookup: Lookup) -> None:
    while True:
        try:
            lookup.hear()
        except Exception:  # noqa: BLE001 - a worker that stops hearing would serve on what it was told to forget
            _log.exception("what was forgotten elsewhere was not heard")
        gevent.sleep(_NEWS_SECONDS)
