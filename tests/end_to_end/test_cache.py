"""Cached covers with several workers and real stores, while workers, servers and origins fail."""

import http.client
import itertools
import os
import signal
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.end_to_end.store_services import URL, config, in_each_worker
from tests.store.redis_server import RedisServer, serving_redis
from tests.support.scripted_origin import Barrier, Behaviour, Origin, cover, page, raw
from tests.support.service import Service, run_service

WORKERS = 4
IDS = itertools.count(1_000_000)

#: Keys of a source whose covers are never fresh: each call requests the page, and gets the stale cover if that fails.
NEVER_FRESH = "ttl = 0\ngrace = 0\nkeep = '1d'\nerror_ttl = 0\nretries = 0\n"


@pytest.fixture(scope="module")
def redis(require: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server for all tests of the module."""
    with serving_redis(require("redis-server"), tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def shop() -> Iterator[Origin]:
    """An origin for all tests of the module, each of which has items of its own."""
    with Origin().serving() as served:
        yield served


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The setting ``store`` for each kind of store."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path_factory.mktemp('sqlite')}/deep/covers.db"
    return str(request.getfixturevalue("redis").url)


@pytest.fixture(scope="module")
def service(shop: Origin, store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with four workers and the store, for all tests of the module."""
    text = config(shop, store, top="admin_token = 's'")
    with run_service(tmp_path_factory.mktemp("service"), text, workers=WORKERS) as running:
        yield running


@pytest.fixture
def item() -> int:
    """An id that no other test uses."""
    return next(IDS)


def test_concurrent_calls_for_an_uncached_id_cause_one_fetch(shop: Origin, service: Service, item: int) -> None:
    shop.item(item, barrier := Barrier(cover(7)))
    calls = [gevent.spawn(service.client().get_cover, item) for _ in range(200)]
    assert barrier.reached.wait(10)
    barrier.go.set()
    assert {call.get() for call in calls} == {URL.format(origin=shop.url)}
    assert shop.request_count(item) == 1


def test_two_servers_with_one_redis_cause_one_fetch(origin: Origin, redis: RedisServer, tmp_path: Path) -> None:
    origin.item(43, barrier := Barrier(cover(7)))
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    text = config(origin, redis.url)
    with run_service(folders[0], text, workers=2) as one, run_service(folders[1], text, workers=2) as two:
        calls = [gevent.spawn(server.client().get_cover, 43) for server in (one, two) for _ in range(50)]
        assert barrier.reached.wait(10)
        barrier.go.set()
        assert {call.get() for call in calls} == {URL.format(origin=origin.url)}
    assert origin.request_count(43) == 1


def test_stored_covers_survive_a_crash_of_the_server(origin: Origin, store: str, tmp_path: Path) -> None:
    ids = [next(IDS) for _ in range(50)]
    for number in ids:
        origin.item(number, cover(number))
    with run_service(tmp_path, config(origin, store), workers=WORKERS) as server:
        covers = server.client().get_covers(ids)
        server.kill()
    requests = len(origin.requests)
    with run_service(tmp_path, config(origin, store), workers=WORKERS) as server:
        assert server.client().get_covers(ids) == covers
        records = in_each_worker(server, "explain_cover", ids[0], calls=20)
        assert {record["cache"] for record in records} <= {"store", "memory"}
    assert len(origin.requests) == requests == 50


def test_the_lease_of_a_killed_worker_expires(
    origin: Origin, store: str, item: int, tmp_path: Path, require: Callable[[str], str]
) -> None:
    """The other workers wait for two seconds until the lease expires, not until the deadline."""
    ss = require("ss")
    origin.item(item, barrier := Barrier(cover(7)))
    with run_service(tmp_path, config(origin, store), workers=WORKERS) as server:
        calls = [gevent.spawn(_get_cover_or_error, server, item) for _ in range(40)]
        assert barrier.reached.wait(10)
        os.kill(_process_connected_to(ss, origin.port, server.workers()), signal.SIGKILL)
        started_at = time.monotonic()
        while origin.request_count(item) < 2:
            assert time.monotonic() - started_at < 5
            gevent.sleep(0.02)
        barrier.go.set()
        urls = {result for call in calls if isinstance(result := call.get(), str)}
    assert urls == {URL.format(origin=origin.url)}
    assert origin.request_count(item) == 2


def _get_cover_or_error(service: Service, item: int) -> Any:
    """Return the cover or the error: calls to the killed worker lose their connection."""
    try:
        return service.client().get_cover(item)
    except (OSError, http.client.HTTPException, xmlrpc.client.Fault) as error:
        return error


def _process_connected_to(ss: str, port: int, pids: set[int]) -> int:
    output = subprocess.run([ss, "-tnpH", f"dport = :{port}"], capture_output=True, text=True, check=True).stdout
    (connected,) = {pid for pid in pids if f"pid={pid}," in output}
    return connected


OUTAGES: dict[str, Behaviour] = {
    "closed connection": raw(),
    "500": page("", status="500 Oops"),
    "403": page("", status="403 Forbidden"),
    "429": page("", status="429 Slow", headers={"Retry-After": "0"}),
    "a page without a cover": page("<p>our new design"),
    "no response": Barrier(cover(9)),
}


def test_stale_covers_are_returned_during_an_outage(origin: Origin, tmp_path: Path) -> None:
    """A server that starts during the outage returns them too."""
    items = dict(enumerate(OUTAGES.values(), 300))
    for number in items:
        origin.item(number, cover(7))
    text = config(origin, f"sqlite:{tmp_path}/covers.db", f"{NEVER_FRESH}timeout = 0.3\n")
    url = URL.format(origin=origin.url)
    with run_service(tmp_path, text, workers=2) as server:
        server.client().get_covers(list(items))
        for number, outage in items.items():
            origin.item(number, outage)
        for number in items:
            assert set(in_each_worker(server, "get_cover", number, calls=10)) == {url}
    with run_service(tmp_path, text) as server:
        for number in items:
            record = server.client().explain_cover(number)
            assert (record["url"], record["cache"], bool(record["error"])) == (url, "stale", True)


def test_a_stale_cover_is_returned_within_the_deadline_of_a_multicall(
    origin: Origin, item: int, tmp_path: Path
) -> None:
    origin.item(item, cover(7))
    text = config(origin, f"sqlite:{tmp_path}/covers.db", NEVER_FRESH, top="deadline = 0.5")
    with run_service(tmp_path, text) as server:
        client = server.client()
        url = client.get_cover(item)
        origin.item(item, Barrier(cover(8)))
        calls = [{"methodName": "get_cover", "params": [item]}, {"methodName": "get_covers", "params": [[item]]}]
        assert client.system.multicall(calls) == [[url], [{str(item): url}]]


def test_a_stale_cover_is_returned_if_the_origin_refuses_connections(tmp_path: Path) -> None:
    with Origin().serving() as origin:
        origin.item(46, cover(7))
        text = config(origin, f"sqlite:{tmp_path}/covers.db", NEVER_FRESH)
        with run_service(tmp_path, text) as server:
            before = server.client().get_cover(46)
    with run_service(tmp_path, text) as server:
        assert server.client().get_cover(46) == before


def test_forget_cover_invalidates_all_workers_within_a_second(shop: Origin, service: Service, item: int) -> None:
    shop.item(item, cover(6))
    in_each_worker(service, "get_cover", item)
    shop.item(item, cover(7))
    assert service.client().forget_cover(item, "ozon", "s")
    started_at = time.monotonic()
    while set(in_each_worker(service, "get_cover", item)) != {URL.format(origin=shop.url)}:
        assert time.monotonic() - started_at < 2
    with pytest.raises(xmlrpc.client.Fault) as caught:
        service.client().forget_cover(item, "ozon", "wrong")
    assert caught.value.faultCode == 403


@pytest.mark.parametrize("kind", ["sqlite", "redis", "none"])
def test_a_page_requested_before_an_item_was_forgotten_decides_no_later_result(
    origin: Origin, redis: RedisServer, item: int, tmp_path: Path, kind: str
) -> None:
    """Neither the four workers nor a server that starts later returns the cover of that page.

    This test fails if a fetch in progress stores its result although forget_cover was called after it had started.
    """
    store = {"sqlite": f"sqlite:{tmp_path}/covers.db", "redis": redis.url, "none": "none"}[kind]
    text = config(origin, store, "timeout = 30\n", top="admin_token = 's'\ndeadline = 60")
    origin.item(item, barrier := Barrier(cover(6)))
    new = {URL.format(origin=origin.url)}
    with run_service(tmp_path, text, workers=WORKERS) as server:
        early = gevent.spawn(server.client().get_cover, item)
        assert barrier.reached.wait(10)
        server.client().forget_cover(item, "ozon", "s")
        origin.item(item, cover(7))
        # A worker that does not know yet of the call of forget_cover lets its calls join the fetch in progress.
        calls = []
        while origin.request_count(item) < 2:
            calls.append(gevent.spawn(server.client().get_cover, item))
            gevent.sleep(0.02)
        barrier.go.set()
        assert early.get().endswith("/6.jpg")
        gevent.joinall(calls, raise_error=True)
        for _ in range(3):
            assert set(in_each_worker(server, "get_cover", item)) == new
    if kind != "none":
        with run_service(tmp_path, text) as server:
            assert {server.client().get_cover(item)} == new
            assert server.client().explain_cover(item)["cache"] in ("store", "memory")


def test_forget_cover_invalidates_cached_responses(tmp_path: Path) -> None:
    """Those to the same bytes on the same connection."""
    with Origin().serving() as origin:
        origin.item(47, cover(6))
        with run_service(tmp_path, config(origin, "none", top="admin_token = 's'")) as server:
            client = server.client()
            assert len({client.get_cover(47) for _ in range(5)}) == 1
            assert origin.request_count(47) == 1
            origin.item(47, cover(7))
            assert client.forget_cover(47, "ozon", "s")
            assert client.get_cover(47) == URL.format(origin=origin.url)


def test_a_cached_response_is_not_reused_when_its_cover_is_stale(tmp_path: Path) -> None:
    with Origin().serving() as origin:
        origin.item(48, cover(6))
        keys = "ttl = 0.5\ngrace = 0\n"
        with run_service(tmp_path, config(origin, "none", keys)) as server:
            client, started_at = server.client(), time.monotonic()
            assert len({client.get_cover(48) for _ in range(5)}) == 1
            origin.item(48, cover(7))
            while client.get_cover(48) != URL.format(origin=origin.url):
                assert time.monotonic() - started_at < 5
