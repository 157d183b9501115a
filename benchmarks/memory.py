"""The cost of the in-memory cache: bytes for each found cover, and the time of a hit with few and with many entries.

A hit is a complete call of ``get_cover`` for a random id, from request bytes to response bytes. Its time is that of the
shortest of many rounds, which alternate between the two caches in one process. The bytes are what the interpreter
allocates for a million covers, divided by a million. Run by ``python -m benchmarks.memory``.
"""

import random
import time
import tracemalloc
import xmlrpc.client

from app.config.loading import load_settings
from app.config.sources import SourceRegistry
from app.domain.records import CoverRecord, FoundCover, ItemId, LookupResult, decode_record, encode_record
from app.lookup.freshness import found_record
from app.lookup.repository import CoverRepository
from app.lookup.service import LookupService
from app.lookup.single_flight import SingleFlight
from app.main import build_cover_page_reader
from app.methods import Methods, map_service_error
from app.rpc.dispatcher import Dispatcher
from app.store.circuit_breaker import CircuitBreakingStore
from app.store.lru import LruCache

_SETTINGS = load_settings({})
_FIRST_ID = 1_000_000_000
_FEW, _MANY = 1_000, 1_000_000
_ROUNDS, _HITS = 40, 5_000

# 90 characters; together with an id of 10 characters 100.
_URL = "https://www.ozon.ru/multimedia/audio_cd_covers/{:0>38}.jpg"


def main() -> None:
    """Print the times and the bytes."""
    services = [(_create_dispatcher(_create_cache(count)), count) for count in (_FEW, _MANY)]
    best = [float("inf"), float("inf")]
    for _ in range(_ROUNDS):
        for index, (dispatcher, count) in enumerate(services):
            requests = [_request(random.randrange(count)) for _ in range(_HITS)]  # noqa: S311 - no secret
            started_at = time.perf_counter()
            for request in requests:
                dispatcher.dispatch(request)
            best[index] = min(best[index], (time.perf_counter() - started_at) / _HITS * 1e6)
    print(f"a hit with {_FEW:,} entries      {best[0]:6.2f} us")
    print(f"a hit with {_MANY:,} entries  {best[1]:6.2f} us, ratio {best[1] / best[0]:.2f}")

    services.clear()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    cache = _create_cache(_MANY)
    allocated = tracemalloc.get_traced_memory()[0] - before
    print(f"a found cover, URL and id of {len(_URL.format(0)) + 10} characters: {allocated / len(cache):.0f} bytes")


def _request(number: int) -> bytes:
    return xmlrpc.client.dumps((_FIRST_ID + number,), "get_cover").encode()


def _create_cache(count: int) -> LruCache[CoverRecord]:
    """Return a cache with ``count`` covers."""
    cache = LruCache[CoverRecord](
        count,
        encode=encode_record,
        decode=decode_record,
        is_positive=lambda record: record.is_found,
    )
    source, now = _SETTINGS.sources["ozon"], time.time()
    for number in range(count):
        item_id = str(_FIRST_ID + number)
        record = found_record(
            source, FoundCover(url=_URL.format(number), rule=0, status=200), now=now, jitter=number / count
        )
        cache.put(str(ItemId("ozon", item_id)), record)
    return cache


def _create_dispatcher(cache: LruCache[CoverRecord]) -> Dispatcher:
    """Return the dispatcher of a service like that of ``app.main``, with this cache and without an origin."""
    sources = SourceRegistry(_SETTINGS.sources, "ozon")
    store = CircuitBreakingStore(None, encode=encode_record, decode=decode_record, clock=time.monotonic)
    lookup = LookupService(
        sources=sources,
        repository=CoverRepository(sources=sources, memory=cache, store=store, clock=time.time),
        single_flight=SingleFlight[str, LookupResult](1),
        cover_pages=build_cover_page_reader(_SETTINGS, store, time.time),
        deadline=1,
        clock=time.time,
    )
    dispatcher = Dispatcher(map_error=map_service_error)
    methods = Methods(
        lookup=lookup,
        sources=sources,
        max_calls=1,
        admin_token=None,
        to_fault=dispatcher.to_fault,
        clock=time.time,
    )
    dispatcher.publish(methods.get_cover)
    return dispatcher


if __name__ == "__main__":
    main()
