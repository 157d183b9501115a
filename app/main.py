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
from app.config.loading import setting_location
from app.config.settings import Settings
from app.config.sources import SourceRegistry
from app.domain.errors import SettingsError
from app.domain.events import NULL_OBSERVER, Observer
from app.domain.records import CoverRecord, LookupResult, decode_record, encode_record
from app.fetch.host_health import HostHealth, HostState
from app.fetch.host_limiter import HostLimiter
from app.fetch.http_request import authority_of
from app.fetch.page_fetcher import PageFetcher
from app.fetch.polite_client import PoliteClient
from app.fetch.process_semaphore import ProcessSemaphore, default_lock_path
from app.fetch.robots import RobotsFile, RobotsPolicy
from app.lookup.cover_page import CoverPageReader
from app.lookup.repository import CoverRepository
from app.lookup.service import LookupService
from app.lookup.single_flight import SingleFlight
from app.methods import METHOD_NAMES, Methods, map_service_error
from app.rpc.dispatcher import Dispatcher
from app.store.base import Store
from app.store.circuit_breaker import CircuitBreakingStore
from app.store.lru import LruCache
from app.store.redis import RedisStore
from app.store.sqlite import SqliteStore
from app.telemetry.counters import Counters, LabelValues
from app.telemetry.hub_lag import HubLagMonitor
from app.telemetry.prometheus import PrometheusCollector
from app.telemetry.worker_slot import current_slot
from app.web.cover_endpoint import CoverEndpoint
from app.web.health import Health
from app.web.metrics_endpoint import MetricsEndpoint
from app.web.request_id import RequestIdMiddleware
from app.web.router import Router
from app.web.rpc_endpoint import RpcEndpoint
from app.web.static_files import StaticFiles

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
    clock, seat = steady_clock(), current_slot()
    sources = SourceRegistry(settings.sources, settings.default_source)
    tally = Counters(seat.counters, seat.index, label_values(settings), monotonic=time.monotonic)
    store = with_circuit_breaker(open_store(settings), tally)
    memory = LruCache[CoverRecord](
        settings.lru_size,
        encode=encode_record,
        decode=decode_record,
        is_positive=lambda record: record.is_found,
    )
    lookup = LookupService(
        sources=sources,
        repository=CoverRepository(sources=sources, memory=memory, store=store, clock=clock, observer=tally),
        single_flight=SingleFlight[str, LookupResult](_MAX_FLIGHTS, tally),
        cover_pages=build_cover_page_reader(settings, store, clock, tally),
        deadline=settings.deadline,
        clock=clock,
        observer=tally,
    )
    dispatcher = Dispatcher(
        map_error=map_service_error,
        max_calls=settings.max_calls,
        deadline=settings.deadline + _LAST_WORD_SECONDS,
        observer=tally,
    )
    methods = Methods(
        lookup=lookup,
        sources=sources,
        max_calls=settings.max_calls,
        admin_token=settings.admin_token,
        to_fault=dispatcher.to_fault,
        clock=clock,
    )
    for function, weigh in methods.published():
        dispatcher.publish(function, count_lookups=weigh)
    if store.is_shared:
        gevent.spawn(_hear_for_ever, lookup)
    pulse = HubLagMonitor(time.monotonic)
    gevent.spawn(pulse.run, lambda: tally.record_hub_lag(lag=pulse.maximum(), due=pulse.next_tick, entries=len(memory)))
    rpc = RpcEndpoint(dispatcher=dispatcher, max_body=settings.max_body)
    covers = CoverEndpoint(sources=sources, lookup=lookup, to_fault=dispatcher.to_fault, clock=clock)
    page = StaticFiles()
    health = Health(store=store, hub_lag=pulse, is_shutting_down=seat.is_shutting_down)
    metrics = MetricsEndpoint(PrometheusCollector(seat.counters, monotonic=time.monotonic).exposition)
    routes = Router(
        {
            "/RPC2": {"POST": rpc},
            "/cover/*": {"GET": covers, "HEAD": covers},
            "/": {"GET": page, "HEAD": page},
            "/static/*": {"GET": page, "HEAD": page},
            "/healthz": {"GET": health.healthz, "HEAD": health.healthz},
            "/readyz": {"GET": health.readyz, "HEAD": health.readyz},
            "/metrics": {"GET": metrics, "HEAD": metrics},
        }
    )
    application = RequestIdMiddleware(routes)
    _set_garbage_aside()
    return application


def label_values(settings: Settings) -> LabelValues:
    """Return by what is counted."""
    sources = SourceRegistry(settings.sources, settings.default_source)
    pages = [source.page_url for source in sources.values() if not source.page_url.id_selects_host]
    return LabelValues(
        methods=(*Dispatcher(map_error=map_service_error).names, *METHOD_NAMES),
        sources=tuple(sources),
        hosts=tuple({authority_of(page.replace("{id}", "")): None for page in pages}),
    )


def build_cover_page_reader(
    settings: Settings, store: CircuitBreakingStore[CoverRecord], clock: Clock, observer: Observer = NULL_OBSERVER
) -> CoverPageReader:
    """Return what asks origins, with manners that hold over all workers of this machine."""
    visitor = PoliteClient(
        fetcher=PageFetcher(user_agent=settings.user_agent, wall_clock=time.time),
        limiter=HostLimiter(
            settings.fetch_concurrency,
            semaphore=ProcessSemaphore(default_lock_path()),
            max_waiting=_MAX_FLIGHTS // 2,
            clock=time.monotonic,
        ),
        host_health=HostHealth(shared=store.namespace("@host:", HostState), clock=clock, observer=observer),
        robots=RobotsPolicy(
            user_agent=settings.user_agent, shared=store.namespace("@robots:", RobotsFile), clock=clock
        ),
        clock=time.monotonic,
        observer=observer,
    )
    return CoverPageReader(visitor)


def with_circuit_breaker(store: Store | None, observer: Observer = NULL_OBSERVER) -> CircuitBreakingStore[CoverRecord]:
    """Return the store behind a guard, for records of covers."""
    return CircuitBreakingStore[CoverRecord](
        store, encode=encode_record, decode=decode_record, clock=time.monotonic, observer=observer
    )


def open_store(settings: Settings) -> Store | None:
    """Return the store that the settings name. It opens nothing before it is asked for something.

    Raises:
        SettingsError: the store cannot be what its URL says.

    """
    kind, _, path = settings.store.partition(":")
    if kind == "none":
        return None
    if kind == "sqlite":
        return SqliteStore(Path(path), max_rows=settings.store_size, clock=time.time)
    try:
        return RedisStore(settings.store)
    except ValueError as error:
        raise SettingsError(f"{setting_location('store', os.environ)}: {error}") from error


def _set_garbage_aside() -> None:
    """Have the collector of cycles look at less, and less often: it took a sixth of the time of a lookup.

    All that is there by now stays to the end, the tables of memory among it, and needs no looking at. What a lookup
    leaves behind goes by itself, pages above all: tests see to it that no failure makes a cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 10)


def _hear_for_ever(lookup: LookupService) -> None:
    while True:
        try:
            lookup.apply_invalidations()
        except Exception:  # noqa: BLE001 - a worker that stops hearing would serve on what it was told to forget
            _log.exception("what was forgotten elsewhere was not heard")
        gevent.sleep(_NEWS_SECONDS)
