"""The one place where objects meet: settings in, the WSGI application out."""

import time
from typing import TYPE_CHECKING

from app.cache.flight import Flights
from app.cache.lru import LRU
from app.cover import ContentId, CoverRecord
from app.lookup import Lookup
from app.methods import Methods, service_fault
from app.origin.fetch import Fetcher
from app.origin.gate import Gate
from app.rpc.dispatcher import Dispatcher
from app.settings import Settings
from app.sources.registry import Registry
from app.web.routes import Application

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Lookups under way at once in a worker, waiting ones included; each is a greenlet of some 20 kB.
_MAX_FLIGHTS = 4096


def build_wsgi(settings: Settings) -> "WSGIApplication":
    """Return the application that serves by these settings. It opens nothing yet."""
    clock, wall = time.monotonic, time.time
    sources = Registry(settings.sources, settings.default_source)
    fetcher = Fetcher(
        gate=Gate(settings.fetch_concurrency, clock=clock),
        user_agent=settings.user_agent,
        pool_size=settings.fetch_concurrency,
        wall=wall,
    )
    lookup = Lookup(
        sources=sources,
        memory=LRU[ContentId, CoverRecord](settings.lru_size, clock=clock),
        flights=Flights[ContentId, CoverRecord](_MAX_FLIGHTS),
        fetch=fetcher.fetch,
        deadline=settings.deadline,
        clock=clock,
        wall=wall,
    )
    dispatcher = Dispatcher(explain=service_fault, max_calls=settings.max_calls, deadline=settings.deadline)
    methods = Methods(
        lookup=lookup, sources=sources, max_calls=settings.max_calls, fault_of=dispatcher.fault_of, wall=wall
    )
    for function in methods.published():
        dispatcher.publish(function)
    return Application(dispatch=dispatcher.dispatch, max_body=settings.max_body)
