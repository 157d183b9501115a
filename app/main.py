"""The composition root: builds the WSGI application and all its objects from the settings."""

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
from app.config.source_registry import SourceRegistry
from app.domain.errors import SettingsError
from app.domain.events import NULL_OBSERVER, Observer
from app.domain.records import CoverRecord, LookupResult, decode_record, encode_record
from app.fetch.host_health import HostState
from app.fetch.hosts import Hosts
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
from app.web.cross_origin import preflight
from app.web.health import Health
from app.web.metrics_endpoint import MetricsEndpoint
from app.web.request_id import RequestIdMiddleware
from app.web.router import MethodHandlers, Router
from app.web.rpc_endpoint import RpcEndpoint
from app.web.static_files import StaticFiles

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_log = logging.getLogger(__name__)

#: The maximum number of flights in progress in a worker. Each takes a greenlet of about 20 kB, even if it only waits.
_MAX_FLIGHTS = 4096

#: The maximum number of fetches that wait for one host. The other half of the flights remains for other hosts.
_MAX_WAITING_PER_HOST = _MAX_FLIGHTS // 2

#: Seconds by which the dispatcher's deadline is later than the deadline of a lookup. At the deadline, a lookup may
#: return a stale cover, but the dispatcher can only return a fault.
_DISPATCH_MARGIN = 0.5

#: Seconds between two reads of the store's invalidations.
_INVALIDATION_INTERVAL = 0.5

#: Seconds after which a thread must release the GIL if another thread waits for it (the default is 0.005). While a
#: parser thread runs, the hub's thread waits for the GIL about twenty times per call.
_SWITCH_INTERVAL = 0.0002


def build_wsgi(settings: Settings) -> "WSGIApplication":
    """Return the WSGI application, and start the greenlets that measure the hub lag and read invalidations.

    The function also sets the interpreter's switch interval, and tunes the garbage collector.

    Raises:
        SettingsError: the store's URL is invalid.

    """
    sys.setswitchinterval(_SWITCH_INTERVAL)
    clock, slot = steady_clock(), current_slot()
    sources = SourceRegistry(settings.sources, settings.default_source)
    counters = Counters(slot.counters, slot.index, label_values(settings), monotonic=time.monotonic)
    store = with_circuit_breaker(open_store(settings), counters)
    memory = LruCache[CoverRecord](
        settings.lru_size,
        encode=encode_record,
        decode=decode_record,
        is_positive=lambda record: record.is_found,
    )
    lookup = LookupService(
        sources=sources,
        repository=CoverRepository(
            sources=sources,
            memory=memory,
            store=store,
            clock=clock,
            purge_log=slot.purge_log,
            observer=counters,
        ),
        single_flight=SingleFlight[str, LookupResult](_MAX_FLIGHTS, counters),
        cover_pages=build_cover_page_reader(settings, store, clock, counters),
        deadline=settings.deadline,
        clock=clock,
        observer=counters,
    )
    dispatcher = Dispatcher(
        map_error=map_service_error,
        max_calls=settings.max_calls,
        timeout=settings.deadline + _DISPATCH_MARGIN,
        observer=counters,
    )
    methods = Methods(
        lookup=lookup,
        sources=sources,
        max_calls=settings.max_calls,
        admin_token=settings.admin_token,
        to_fault=dispatcher.to_fault,
        clock=clock,
    )
    for function, count_lookups in methods.published_functions():
        dispatcher.publish(function, count_lookups=count_lookups)
    gevent.spawn(_poll_invalidations, lookup)
    hub_lag = HubLagMonitor(time.monotonic)
    gevent.spawn(
        hub_lag.run,
        lambda: counters.record_tick(lag=hub_lag.maximum(), next_tick=hub_lag.next_tick, memory_entries=len(memory)),
    )
    rpc: MethodHandlers = {"POST": RpcEndpoint(dispatcher=dispatcher, max_body=settings.max_body), "OPTIONS": preflight}
    covers = CoverEndpoint(sources=sources, lookup=lookup, to_fault=dispatcher.to_fault, clock=clock)
    files = StaticFiles()
    health = Health(store=store, hub_lag=hub_lag, is_shutting_down=slot.is_shutting_down)
    metrics = MetricsEndpoint(PrometheusCollector(slot.counters, monotonic=time.monotonic).exposition)
    router = Router(
        {
            "/RPC2": rpc,
            "/RPC2/": rpc,
            "/cover/*": {"GET": covers, "HEAD": covers},
            # Clients of SimpleXMLRPCServer and of the service of 2010 call the root.
            "/": {"GET": files, "HEAD": files, **rpc},
            "/static/*": {"GET": files, "HEAD": files},
            "/healthz": {"GET": health.healthz, "HEAD": health.healthz},
            "/readyz": {"GET": health.readyz, "HEAD": health.readyz},
            "/metrics": {"GET": metrics, "HEAD": metrics},
        }
    )
    application = RequestIdMiddleware(router)
    _tune_garbage_collector()
    return application


def label_values(settings: Settings) -> LabelValues:
    """Return the values of the metrics' labels.

    A source adds no host if item ids select the host, because callers could then add any number of hosts.
    """
    sources = SourceRegistry(settings.sources, settings.default_source)
    page_urls = [source.page_url for source in sources.values() if not source.page_url.id_selects_host]
    return LabelValues(
        methods=(*Dispatcher(map_error=map_service_error).method_names, *METHOD_NAMES),
        sources=tuple(sources),
        # A dict, unlike a set, keeps the order of the sources.
        hosts=tuple({authority_of(page_url.replace("{id}", "")): None for page_url in page_urls}),
    )


def build_cover_page_reader(
    settings: Settings, store: CircuitBreakingStore[CoverRecord], clock: Clock, observer: Observer = NULL_OBSERVER
) -> CoverPageReader:
    """Return the reader of cover pages. Its limits for each host apply to all workers of this machine together.

    Workers share the states of hosts and the robots.txt files through the store.
    """
    client = PoliteClient(
        fetcher=PageFetcher(user_agent=settings.user_agent, wall_clock=time.time),
        hosts=Hosts(
            concurrency=settings.fetch_concurrency,
            max_waiting=_MAX_WAITING_PER_HOST,
            semaphore=ProcessSemaphore(default_lock_path()),
            shared=store.namespace("@host:", HostState),
            clock=clock,
            observer=observer,
        ),
        robots=RobotsPolicy(
            user_agent=settings.user_agent, shared=store.namespace("@robots:", RobotsFile), clock=clock
        ),
        clock=clock,
        observer=observer,
    )
    return CoverPageReader(client)


def with_circuit_breaker(store: Store | None, observer: Observer = NULL_OBSERVER) -> CircuitBreakingStore[CoverRecord]:
    """Return a store of cover records: ``store`` behind a circuit breaker, or an empty store if it is None."""
    return CircuitBreakingStore[CoverRecord](
        store, encode=encode_record, decode=decode_record, clock=time.monotonic, observer=observer
    )


def open_store(settings: Settings) -> Store | None:
    """Return the configured store, or None for ``none``. The store opens files and connections when it is first used.

    Raises:
        SettingsError: the URL, or a file that it names, is invalid.

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


def _tune_garbage_collector() -> None:
    """Make the garbage collector examine fewer objects, less often.

    With the default settings, the collector took a sixth of the time of a lookup. The objects that exist now live as
    long as the process, so they are excluded. The objects of a lookup, which may include a large page, are freed by
    reference counting. Tests check that no failure creates a reference cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 10)


def _poll_invalidations(lookup: LookupService) -> None:
    while True:
        try:
            lookup.apply_invalidations()
        except Exception:  # noqa: BLE001 - if the loop ended, the worker would serve forgotten covers from memory
            _log.exception("cannot read the invalidations of the store")
        gevent.sleep(_INVALIDATION_INTERVAL)
