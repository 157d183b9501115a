"""What is known, over four workers and real stores, while workers and origins come and go."""

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

#: A cover that is never fresh, so that each call asks the origin, and gets the old cover when that fails.
NEVER_FRESH = "ttl = 0\ngrace = 0\nkeep = '1d'\nerror_ttl = 0\nretries = 0\n"


@pytest.fixture(scope="module")
def redis(require: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server for the module."""
    with serving_redis(require("redis-server"), tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def shop() -> Iterator[Origin]:
    """An origin for the module: each test has items of its own."""
    with Origin().serving() as served:
        yield served


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Each store by its setting."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path_factory.mktemp('sqlite')}/deep/covers.db"
    return str(request.getfixturevalue("redis").url)


@pytest.fixture(scope="module")
def service(shop: Origin, store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with four workers over the store, for the module."""
    text = config(shop, store, top="admin_token = 's'")
    with run_service(tmp_path_factory.mktemp("service"), text, workers=WORKERS) as running:
        yield running


@pytest.fixture
def item() -> int:
    """An id that no other test has."""
    return next(IDS)


def test_callers_of_an_unknown_id_cause_one_fetch_over_all_workers(shop: Origin, service: Service, item: int) -> None:
    shop.item(item, hold := Barrier(cover(7)))
    callers = [gevent.spawn(service.client().get_cover, item) for _ in range(200)]
    assert hold.asked.wait(10)
    hold.go.set()
    assert {caller.get() for caller in callers} == {URL.format(origin=shop.url)}
    assert shop.asked_for(item) == 1


def test_two_servers_over_one_redis_cause_one_fetch(origin: Origin, redis: RedisServer, tmp_path: Path) -> None:
    origin.item(43, hold := Barrier(cover(7)))
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    text = config(origin, redis.url)
    with run_service(folders[0], text, workers=2) as one, run_service(folders[1], text, workers=2) as two:
        callers = [gevent.spawn(server.client().get_cover, 43) for server in (one, two) for _ in range(50)]
        assert hold.asked.wait(10)
        hold.go.set()
        assert {caller.get() for caller in callers} == {URL.format(origin=origin.url)}
    assert origin.asked_for(43) == 1


def test_known_covers_survive_the_death_of_the_whole_server(origin: Origin, store: str, tmp_path: Path) -> None:
    ids = [next(IDS) for _ in range(50)]
    for number in ids:
        origin.item(number, cover(number))
    with run_service(tmp_path, config(origin, store), workers=WORKERS) as server:
        answers = server.client().get_covers(ids)
        server.kill()
    asked = len(origin.requests)
    with run_service(tmp_path, config(origin, store), workers=WORKERS) as server:
        assert server.client().get_covers(ids) == answers
        told = in_each_worker(server, "explain_cover", ids[0], calls=20)
        assert {record["cache"] for record in told} <= {"store", "memory"}
    assert len(origin.requests) == asked == 50


def test_a_worker_killed_with_the_lease_delays_the_others_a_little(
    origin: Origin, store: str, item: int, tmp_path: Path, require: Callable[[str], str]
) -> None:
    """By the lease's end: two seconds, not the deadline."""
    ss = require("ss")
    origin.item(item, hold := Barrier(cover(7)))
    with run_service(tmp_path, config(origin, store), workers=WORKERS) as server:
        callers = [gevent.spawn(_call_and_take_what_comes, server, item) for _ in range(40)]
        assert hold.asked.wait(10)
        os.kill(_process_that_is_connected_to(ss, origin.port, server.workers()), signal.SIGKILL)
        begun = time.monotonic()
        while origin.asked_for(item) < 2:
            assert time.monotonic() - begun < 5
            gevent.sleep(0.02)
        hold.go.set()
        answers = {answer for caller in callers if isinstance(answer := caller.get(), str)}
    assert answers == {URL.format(origin=origin.url)}
    assert origin.asked_for(item) == 2


def _call_and_take_what_comes(service: Service, item: int) -> Any:
    """Callers of the worker that is killed lose their connection, as they would to any server."""
    try:
        return service.client().get_cover(item)
    except (OSError, http.client.HTTPException, xmlrpc.client.Fault) as error:
        return error


def _process_that_is_connected_to(ss: str, port: int, pids: set[int]) -> int:
    told = subprocess.run([ss, "-tnpH", f"dport = :{port}"], capture_output=True, text=True, check=True).stdout
    (connected,) = {pid for pid in pids if f"pid={pid}," in told}
    return connected


OUTAGES: dict[str, Behaviour] = {
    "gone": raw(),
    "500": page("", status="500 Oops"),
    "403": page("", status="403 Forbidden"),
    "429": page("", status="429 Slow", headers={"Retry-After": "0"}),
    "a page without a cover": page("<p>our new design"),
    "silence": Barrier(cover(9)),
}


def test_callers_with_known_ids_do_not_notice_an_outage(origin: Origin, tmp_path: Path) -> None:
    """Nor does a server that is started in the middle of it."""
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
            told = server.client().explain_cover(number)
            assert (told["url"], told["cache"], bool(told["error"])) == (url, "stale", True)


def test_a_known_cover_beats_the_deadline_of_a_multicall_too(origin: Origin, item: int, tmp_path: Path) -> None:
    origin.item(item, cover(7))
    text = config(origin, f"sqlite:{tmp_path}/covers.db", NEVER_FRESH, top="deadline = 0.5")
    with run_service(tmp_path, text) as server:
        client = server.client()
        url = client.get_cover(item)
        origin.item(item, Barrier(cover(8)))
        calls = [{"methodName": "get_cover", "params": [item]}, {"methodName": "get_covers", "params": [[item]]}]
        assert client.system.multicall(calls) == [[url], [{str(item): url}]]


def test_an_origin_that_nobody_serves_any_more_is_not_noticed_either(tmp_path: Path) -> None:
    with Origin().serving() as origin:
        origin.item(46, cover(7))
        text = config(origin, f"sqlite:{tmp_path}/covers.db", NEVER_FRESH)
        with run_service(tmp_path, text) as server:
            before = server.client().get_cover(46)
    with run_service(tmp_path, text) as server:
        assert server.client().get_cover(46) == before


def test_what_is_forgotten_is_gone_from_every_worker_within_a_second(shop: Origin, service: Service, item: int) -> None:
    shop.item(item, cover(6))
    in_each_worker(service, "get_cover", item)
    shop.item(item, cover(7))
    assert service.client().forget_cover(item, "ozon", "s")
    begun = time.monotonic()
    while set(in_each_worker(service, "get_cover", item)) != {URL.format(origin=shop.url)}:
        assert time.monotonic() - begun < 2
    with pytest.raises(xmlrpc.client.Fault) as caught:
        service.client().forget_cover(item, "ozon", "wrong")
    assert caught.value.faultCode == 403


@pytest.mark.parametrize("kind", ["sqlite", "redis", "none"])
def test_a_page_requested_before_an_item_was_forgotten_decides_no_later_result(
    origin: Origin, redis: RedisServer, item: int, tmp_path: Path, kind: str
) -> None:
    """Not in any of four workers, nor in a server that starts later.

    It fails if a fetch in progress stores its result whatever has happened since.
    """
    store = {"sqlite": f"sqlite:{tmp_path}/covers.db", "redis": redis.url, "none": "none"}[kind]
    text = config(origin, store, "timeout = 30\n", top="admin_token = 's'\ndeadline = 60")
    origin.item(item, hold := Barrier(cover(6)))
    new = {URL.format(origin=origin.url)}
    with run_service(tmp_path, text, workers=WORKERS) as server:
        early = gevent.spawn(server.client().get_cover, item)
        assert hold.asked.wait(10)
        server.client().forget_cover(item, "ozon", "s")
        origin.item(item, cover(7))
        # A worker that has not read yet what another one has forgotten lets its callers join the old fetch.
        callers = []
        while origin.asked_for(item) < 2:
            callers.append(gevent.spawn(server.client().get_cover, item))
            gevent.sleep(0.02)
        hold.go.set()
        assert early.get().endswith("/6.jpg")
        gevent.joinall(callers, raise_error=True)
        for _ in range(3):
            assert set(in_each_worker(server, "get_cover", item)) == new
    if kind != "none":
        with run_service(tmp_path, text) as server:
            assert {server.client().get_cover(item)} == new
            assert server.client().explain_cover(item)["cache"] in ("store", "memory")


def test_what_is_forgotten_is_not_repeated_by_the_worker_either(tmp_path: Path) -> None:
    """On one connection, where the same bytes have been answered many times."""
    with Origin().serving() as origin:
        origin.item(47, cover(6))
        with run_service(tmp_path, config(origin, "none", top="admin_token = 's'")) as server:
            client = server.client()
            assert len({client.get_cover(47) for _ in range(5)}) == 1
            assert origin.asked_for(47) == 1
            origin.item(47, cover(7))
            assert client.forget_cover(47, "ozon", "s")
            assert client.get_cover(47) == URL.format(origin=origin.url)


def test_what_is_fresh_no_more_is_not_repeated_by_the_worker_either(tmp_path: Path) -> None:
    with Origin().serving() as origin:
        origin.item(48, cover(6))
        keys = "ttl = 0.5\ngrace = 0\n"
        with run_service(tmp_path, config(origin, "none", keys)) as server:
            client, began = server.client(), time.monotonic()
            assert len({client.get_cover(48) for _ in range(5)}) == 1
            origin.item(48, cover(7))
            while client.get_cover(48) != URL.format(origin=origin.url):
                assert time.monotonic() - began < 5
