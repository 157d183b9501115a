"""What /metrics says of a running service: exact over workers, reloads and deaths."""

import os
import signal
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import gevent
import pytest

from tests.server.gunicorn_server import wait_until
from tests.support.metric_samples import Samples, scrape
from tests.support.processes import shared_memory, stopped
from tests.support.scripted_origin import Barrier, Origin, cover, page
from tests.support.service import CONFIG, Service, run_service


@pytest.fixture(scope="module")
def shop() -> Iterator[Origin]:
    """An origin for the module."""
    with Origin().serving() as served:
        yield served


@pytest.fixture(scope="module")
def service(shop: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with four workers, for the module: what a test counts is what comes on top."""
    with run_service(tmp_path_factory.mktemp("service"), CONFIG.format(origin=shop.url), workers=4) as running:
        wait_until(lambda: scrape(running).total("covers_workers") == 4, "all workers are there")
        yield running


def growth(before: Samples, after: Samples, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Return by how much the samples of a name have grown, by their labels of these names, where they have."""
    grown = dict[tuple[str, ...], float]()
    for (sample, has), value in after.all.items():
        more = value - before.all.get((sample, has), 0)
        if sample == name and more:
            key = tuple(dict(has)[label] for label in labels)
            grown[key] = grown.get(key, 0) + more
    return grown


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do it all at once; return what came of each."""
    greenlets = [gevent.spawn(work) for work in works]
    return [greenlet.get() for greenlet in greenlets]


def fault_of(call: Callable[..., Any], *arguments: Any) -> int:
    """Return the code of a call's fault."""
    with pytest.raises(xmlrpc.client.Fault) as caught:
        call(*arguments)
    return caught.value.faultCode


def post(server: Service, body: bytes) -> None:
    with urlopen(Request(server.url, body, {"Content-Type": "text/xml"}), timeout=20) as answer:
        answer.read()


def test_calls_by_many_connections_to_all_workers_add_up_in_one_scrape(shop: Origin, service: Service) -> None:
    """Those that the worker answers by itself, without asking the application, are among them."""
    shop.item(1, cover())
    shop.item(2, page("no cover here"))
    shop.item(3, page("broken", status="500 Oops"))
    at_once(*(lambda: service.client().get_covers([1, 2, 3]) for _ in range(40)))  # by now most workers know them
    service.close_clients()
    before = scrape(service)

    def caller(number: int) -> None:
        client = service.client()
        for _ in range(25):
            client.get_cover(1)
        assert fault_of(client.get_cover, 2) == 404
        assert fault_of(client.get_cover, 3) == 502
        assert fault_of(client.get_cover, "no id") == -32602
        assert fault_of(getattr(client, f"made_up_{number}")) == -32601
        client.get_covers([1, 2, 3])
        client.explain_cover(1)
        several = xmlrpc.client.MultiCall(client)
        several.get_cover(1)
        several.get_cover(2)
        several()
        post(service, b"no XML")

    at_once(*(lambda number=number: caller(number) for number in range(16)))
    after = scrape(service)
    assert growth(before, after, "covers_calls_total", "method", "fault") == {
        ("get_cover", ""): 16 * 26,
        ("get_cover", "404"): 16 * 2,
        ("get_cover", "502"): 16,
        ("get_cover", "-32602"): 16,
        ("get_covers", ""): 16,
        ("explain_cover", ""): 16,
        ("system.multicall", ""): 16,
        ("", "-32601"): 16,
        ("", "-32700"): 16,
    }
    lookups = growth(before, after, "covers_lookups_total", "source", "outcome", "cache")
    assert sum(count for (_, outcome, _), count in lookups.items() if outcome == "found") == 16 * 28
    assert lookups["ozon", "found", "memory"] > 16 * 20
    assert sum(lookups.values()) == 16 * 33
    timed = growth(before, after, "covers_call_seconds_count", "method")
    assert timed["get_cover",] < 16 * 30, "the worker has answered none by itself"
    assert timed["get_covers",] == timed["explain_cover",] == 16


def test_pages_add_up_to_what_the_origin_was_asked_for(shop: Origin, service: Service) -> None:
    items = range(100, 140)
    for item in items:
        shop.item(item, cover() if item % 2 else page("none"))
    before, asked = scrape(service), len(shop.requests)
    at_once(*(lambda item=item: service.client().explain_cover(item) for item in [*items, 999_999]))
    after = scrape(service)
    fetches = growth(before, after, "covers_fetches_total", "source", "outcome")
    assert fetches == {("ozon", "found"): 20, ("ozon", "no_cover"): 20, ("ozon", "no_such_item"): 1}
    assert sum(fetches.values()) == len(shop.requests) - asked
    assert growth(before, after, "covers_fetch_seconds_count", "source") == {("ozon",): 41}


def test_callers_who_wait_and_who_share_a_flight_are_counted(origin: Origin, server: Service) -> None:
    origin.item(42, hold := Barrier(cover()))
    callers = [gevent.spawn(server.client().get_cover, 42) for _ in range(20)]
    wait_until(lambda: scrape(server).total("covers_waiting") == 20, "all wait")
    samples = scrape(server)
    assert (samples.total("covers_flights"), samples.total("covers_flights_shared_total")) == (1, 19)
    hold.go.set()
    gevent.joinall(callers)
    samples = scrape(server)
    assert (samples.total("covers_flights"), samples.total("covers_waiting")) == (0, 0)
    assert samples["covers_lookups_total", {"source": "ozon", "outcome": "found", "cache": "fetched"}] == 20
    wait_until(lambda: scrape(server).total("covers_memory_entries") == 1, "the memory is counted")


def test_a_circuit_that_opens_shows_by_its_host(origin: Origin, tmp_path: Path) -> None:
    config = CONFIG.format(origin=origin.url) + "retries = 0\n"
    origin.default = page("broken", status="500 Oops")
    host = {"host": origin.url.removeprefix("http://")}
    with run_service(tmp_path, config, workers=1) as server:
        assert scrape(server)["covers_circuit_open", host] == 0
        server.client().get_covers(list(range(8)))
        samples = scrape(server)
        assert samples["covers_circuit_open", host] == 1
        assert samples["covers_fetches_total", {"source": "ozon", "outcome": "origin_failed"}] == 8


def test_a_store_that_fails_shows_and_costs_no_readiness(origin: Origin, tmp_path: Path) -> None:
    origin.item(42, cover())
    store = 'store = "redis://127.0.0.1:1/0"'
    with run_service(tmp_path, CONFIG.format(origin=origin.url).replace('store = "none"', store)) as server:
        server.client().get_cover(42)
        samples = scrape(server)
        assert samples.total("covers_store_passed_over") == 1
        assert samples.total("covers_store_failures_total") >= 1
        with urlopen(server.url.replace("/RPC2", "/readyz"), timeout=20) as answer:
            assert answer.read() == b"ready; the store is bypassed\n"


def calls_of(server: Service) -> float:
    return scrape(server).total("covers_calls_total", method="list_sources")


def test_counts_go_on_over_a_reload_which_adds_what_is_new(origin: Origin, tmp_path: Path) -> None:
    """Callers go on meanwhile, and no scrape says less than the one before."""
    config = CONFIG.format(origin=origin.url)
    with run_service(tmp_path, config, workers=2) as server:
        wait_until(lambda: scrape(server).total("covers_workers") == 2, "both workers are there")
        made, seen, done = [0], [0.0], False

        def call_on_and_on() -> None:
            while not done:
                with xmlrpc.client.ServerProxy(server.url) as client:
                    client.list_sources()
                made[0] += 1

        callers = [gevent.spawn(call_on_and_on) for _ in range(4)]
        server.config.write_text(config + config.partition("\n\n")[2].replace("sources.ozon", "sources.shop"), "utf-8")
        before = server.workers()
        server.reload()
        while server.workers() & before or len(server.workers()) < 2:
            answered = made[0]
            seen.append(calls_of(server))
            assert seen[-1] >= answered
        done = True
        gevent.joinall(callers)
        assert seen == sorted(seen)
        assert calls_of(server) == made[0]
        wait_until(lambda: scrape(server).total("covers_workers") == 2, "those who have left are not counted")
        assert scrape(server).total("covers_workers_died_total") == 0
        assert scrape(server)["covers_fetches_total", {"source": "shop", "outcome": "found"}] == 0


def test_many_generations_of_workers_leave_their_counts_and_nothing_else(origin: Origin, tmp_path: Path) -> None:
    extra = {"GUNICORN_CMD_ARGS": "--max-requests 5"}
    with run_service(tmp_path, CONFIG.format(origin=origin.url), workers=2, extra=extra) as server:
        server.client().list_sources()
        memory = shared_memory(server.process.pid)
        seen, calls = set[int](), 1

        def call() -> bool:
            nonlocal seen, calls
            with xmlrpc.client.ServerProxy(server.url) as client:
                client.list_sources()
            calls += 1
            seen |= server.workers()
            return len(seen) > 6

        wait_until(call, "there were several generations", seconds=30)
        assert calls_of(server) == calls
        assert scrape(server).total("covers_workers_died_total") == 0
        assert shared_memory(server.process.pid) == memory > 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["covers.toml", "gunicorn.log"]


def test_what_a_worker_has_counted_outlives_its_sudden_death(origin: Origin, server: Service) -> None:
    """What it had under way does not."""
    origin.item(42, Barrier(cover()))
    for _ in range(10):
        server.client().list_sources()
    # Python's own client would call once more.
    caller = gevent.spawn(post, server, xmlrpc.client.dumps((42,), "get_cover").encode())
    wait_until(lambda: scrape(server).total("covers_waiting") == 1, "it waits")
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    caller.join()
    assert isinstance(caller.exception, OSError)
    wait_until(lambda: bool(server.workers() - {worker}), "there is another worker")
    samples = scrape(server)
    assert samples.total("covers_workers_died_total") == 1
    assert samples.total("covers_calls_total", method="list_sources") == 10
    assert samples.total("covers_waiting") == samples.total("covers_flights") == 0
    assert samples.total("covers_workers") == 1


def test_a_worker_that_is_stuck_shows_in_what_the_others_say(service: Service) -> None:
    """As does, for a while, that it was."""
    stuck = min(service.workers())
    with stopped(stuck):
        wait_until(lambda: scrape(service).total("covers_hub_lag_seconds") > 0.5, "it is late")
    wait_until(lambda: scrape(service).total("covers_hub_lag_seconds") > 0.5, "it was late")


def test_head_says_what_get_does_without_its_body(service: Service) -> None:
    url = service.url.replace("/RPC2", "/metrics")
    with urlopen(Request(url, method="HEAD"), timeout=20) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert int(answer.headers["Content-Length"]) > 1000
        assert answer.read() == b""
