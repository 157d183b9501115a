"""GET /metrics of a running service: counts are exact across workers, reloads and killed workers."""

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
    """An origin for all tests of the module."""
    with Origin().serving() as origin:
        yield origin


@pytest.fixture(scope="module")
def service(shop: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with four workers for all tests of the module. Tests compare two scrapes, since counts add up."""
    with run_service(tmp_path_factory.mktemp("service"), CONFIG.format(origin=shop.url), workers=4) as running:
        wait_until(lambda: scrape(running).total("covers_workers") == 4, "all workers are running")
        yield running


def growth(before: Samples, after: Samples, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Return the increase of a metric between two scrapes, by the values of the given labels, without zeros."""
    increases = dict[tuple[str, ...], float]()
    for (sample_name, sample_labels), value in after.values.items():
        increase = value - before.values.get((sample_name, sample_labels), 0)
        if sample_name == name and increase:
            key = tuple(dict(sample_labels)[label] for label in labels)
            increases[key] = increases.get(key, 0) + increase
    return increases


def run_concurrently(*functions: Callable[[], Any]) -> list[Any]:
    """Call the functions in greenlets, and return their results."""
    greenlets = [gevent.spawn(function) for function in functions]
    return [greenlet.get() for greenlet in greenlets]


def fault_code(call: Callable[..., Any], *arguments: Any) -> int:
    """Return the fault code of a call that fails."""
    with pytest.raises(xmlrpc.client.Fault) as caught:
        call(*arguments)
    return caught.value.faultCode


def post(server: Service, body: bytes) -> None:
    with urlopen(Request(server.url, body, {"Content-Type": "text/xml"}), timeout=20) as response:
        response.read()


def test_one_scrape_counts_the_calls_of_all_connections_and_workers(shop: Origin, service: Service) -> None:
    """Including those that a worker answers with a cached response, without calling the application."""
    shop.item(1, cover())
    shop.item(2, page("no cover here"))
    shop.item(3, page("broken", status="500 Oops"))
    # Afterwards most workers have the items in memory.
    run_concurrently(*(lambda: service.client().get_covers([1, 2, 3]) for _ in range(40)))
    service.close_clients()
    before = scrape(service)

    def caller(number: int) -> None:
        client = service.client()
        for _ in range(25):
            client.get_cover(1)
        assert fault_code(client.get_cover, 2) == 404
        assert fault_code(client.get_cover, 3) == 502
        assert fault_code(client.get_cover, "no id") == -32602
        assert fault_code(getattr(client, f"made_up_{number}")) == -32601
        client.get_covers([1, 2, 3])
        client.explain_cover(1)
        several = xmlrpc.client.MultiCall(client)
        several.get_cover(1)
        several.get_cover(2)
        several()
        post(service, b"no XML")

    run_concurrently(*(lambda number=number: caller(number) for number in range(16)))
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
    assert timed["get_cover",] < 16 * 30, "no call was answered with a cached response"
    assert timed["get_covers",] == timed["explain_cover",] == 16


def test_fetches_add_up_to_the_requests_that_the_origin_received(shop: Origin, service: Service) -> None:
    items = range(100, 140)
    for item in items:
        shop.item(item, cover() if item % 2 else page("none"))
    before, requests_before = scrape(service), len(shop.requests)
    run_concurrently(*(lambda item=item: service.client().explain_cover(item) for item in [*items, 999_999]))
    after = scrape(service)
    fetches = growth(before, after, "covers_fetches_total", "source", "outcome")
    assert fetches == {("ozon", "found"): 20, ("ozon", "no_cover"): 20, ("ozon", "no_such_item"): 1}
    assert sum(fetches.values()) == len(shop.requests) - requests_before
    assert growth(before, after, "covers_fetch_seconds_count", "source") == {("ozon",): 41}


def test_waiting_callers_and_shared_flights_are_counted(origin: Origin, server: Service) -> None:
    origin.item(42, barrier := Barrier(cover()))
    callers = [gevent.spawn(server.client().get_cover, 42) for _ in range(20)]
    wait_until(lambda: scrape(server).total("covers_waiting") == 20, "all callers are waiting")
    samples = scrape(server)
    assert (samples.total("covers_flights"), samples.total("covers_flights_shared_total")) == (1, 19)
    barrier.go.set()
    gevent.joinall(callers)
    samples = scrape(server)
    assert (samples.total("covers_flights"), samples.total("covers_waiting")) == (0, 0)
    assert samples["covers_lookups_total", {"source": "ozon", "outcome": "found", "cache": "fetched"}] == 20
    wait_until(lambda: scrape(server).total("covers_memory_entries") == 1, "the memory entry is counted")


def test_an_open_circuit_is_reported_for_its_host(origin: Origin, tmp_path: Path) -> None:
    config = CONFIG.format(origin=origin.url) + "retries = 0\n"
    origin.default = page("broken", status="500 Oops")
    host = {"host": origin.url.removeprefix("http://")}
    with run_service(tmp_path, config, workers=1) as server:
        assert scrape(server)["covers_circuit_open", host] == 0
        server.client().get_covers(list(range(8)))
        samples = scrape(server)
        assert samples["covers_circuit_open", host] == 1
        assert samples["covers_fetches_total", {"source": "ozon", "outcome": "origin_failed"}] == 8


def test_a_failing_store_is_reported_but_the_worker_stays_ready(origin: Origin, tmp_path: Path) -> None:
    origin.item(42, cover())
    store = 'store = "redis://127.0.0.1:1/0"'
    with run_service(tmp_path, CONFIG.format(origin=origin.url).replace('store = "none"', store)) as server:
        server.client().get_cover(42)
        samples = scrape(server)
        assert samples.total("covers_store_passed_over") == 1
        assert samples.total("covers_store_failures_total") >= 1
        with urlopen(server.url.replace("/RPC2", "/readyz"), timeout=20) as response:
            assert response.read() == b"ready; the store is bypassed\n"


def list_sources_calls(server: Service) -> float:
    return scrape(server).total("covers_calls_total", method="list_sources")


def test_a_reload_keeps_all_counts_and_adds_counters_of_new_sources(origin: Origin, tmp_path: Path) -> None:
    """Clients keep calling during the reload, and no count ever decreases."""
    config = CONFIG.format(origin=origin.url)
    with run_service(tmp_path, config, workers=2) as server:
        wait_until(lambda: scrape(server).total("covers_workers") == 2, "both workers are running")
        calls, scraped, done = 0, [0.0], False

        def call_repeatedly() -> None:
            nonlocal calls
            while not done:
                with xmlrpc.client.ServerProxy(server.url) as client:
                    client.list_sources()
                calls += 1

        callers = [gevent.spawn(call_repeatedly) for _ in range(4)]
        server.config.write_text(config + config.partition("\n\n")[2].replace("sources.ozon", "sources.shop"), "utf-8")
        before = server.workers()
        server.reload()
        while server.workers() & before or len(server.workers()) < 2:
            completed = calls
            scraped.append(list_sources_calls(server))
            assert scraped[-1] >= completed
        done = True
        gevent.joinall(callers)
        assert scraped == sorted(scraped)
        assert list_sources_calls(server) == calls
        wait_until(lambda: scrape(server).total("covers_workers") == 2, "only the new workers are counted")
        assert scrape(server).total("covers_workers_died_total") == 0
        assert scrape(server)["covers_fetches_total", {"source": "shop", "outcome": "found"}] == 0


def test_replaced_workers_keep_their_counts_but_no_files_or_memory(origin: Origin, tmp_path: Path) -> None:
    extra = {"GUNICORN_CMD_ARGS": "--max-requests 5"}
    with run_service(tmp_path, CONFIG.format(origin=origin.url), workers=2, extra=extra) as server:
        server.client().list_sources()
        memory = shared_memory(server.process.pid)
        pids, calls = set[int](), 1

        def call() -> bool:
            nonlocal pids, calls
            with xmlrpc.client.ServerProxy(server.url) as client:
                client.list_sources()
            calls += 1
            pids |= server.workers()
            return len(pids) > 6

        wait_until(call, "workers were replaced several times", seconds=30)
        assert list_sources_calls(server) == calls
        assert scrape(server).total("covers_workers_died_total") == 0
        assert shared_memory(server.process.pid) == memory > 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["covers.toml", "gunicorn.log"]


def test_a_killed_workers_counts_are_kept_and_its_gauges_are_cleared(origin: Origin, server: Service) -> None:
    origin.item(42, Barrier(cover()))
    for _ in range(10):
        server.client().list_sources()
    # Not Python's XML-RPC client: it would retry the call.
    caller = gevent.spawn(post, server, xmlrpc.client.dumps((42,), "get_cover").encode())
    wait_until(lambda: scrape(server).total("covers_waiting") == 1, "the caller is waiting")
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    caller.join()
    assert isinstance(caller.exception, OSError)
    wait_until(lambda: bool(server.workers() - {worker}), "another worker is running")
    samples = scrape(server)
    assert samples.total("covers_workers_died_total") == 1
    assert samples.total("covers_calls_total", method="list_sources") == 10
    assert samples.total("covers_waiting") == samples.total("covers_flights") == 0
    assert samples.total("covers_workers") == 1


def test_other_workers_report_the_hub_lag_of_a_stuck_worker(service: Service) -> None:
    """They also report it for a while after the worker has recovered."""
    stuck = min(service.workers())
    with stopped(stuck):
        wait_until(
            lambda: scrape(service).total("covers_hub_lag_seconds") > 0.5, "the lag is reported while it is stuck"
        )
    wait_until(lambda: scrape(service).total("covers_hub_lag_seconds") > 0.5, "the lag is reported afterwards")


def test_head_returns_the_headers_of_get_without_a_body(service: Service) -> None:
    url = service.url.replace("/RPC2", "/metrics")
    with urlopen(Request(url, method="HEAD"), timeout=20) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert int(response.headers["Content-Length"]) > 1000
        assert response.read() == b""
