"""Politeness towards origins, with two workers and one store."""

import itertools
import re
import time
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.support.scripted_origin import Barrier, Origin, cover, page, raw
from tests.support.service import CONFIG, Service, run_service

WORKERS = 2
CONCURRENCY = 4
IDS = itertools.count(1_000_000)
SERVER_ERROR = page("down", status="500 Internal Server Error")


def config(origin: Origin, keys: str = "", store: str = "none") -> str:
    """Return a configuration with this store and with ``keys`` in the source's table."""
    return CONFIG.format(origin=origin.url).replace('"none"', f'"{store}"') + keys


@pytest.fixture
def service(origin: Origin, tmp_path: Path) -> Iterator[Service]:
    """A service with two workers and SQLite."""
    keys = f"concurrency = {CONCURRENCY}\nretries = 0\nerror_ttl = 0\n"
    with run_service(tmp_path, config(origin, keys, f"sqlite:{tmp_path}/covers.db"), workers=WORKERS) as running:
        yield running


def call(server: Service, method: str, *arguments: Any) -> Any:
    """Call over a new connection, so that any worker may serve it; return the result or the fault."""
    with xmlrpc.client.ServerProxy(server.url) as client:
        try:
            return getattr(client, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            return fault


def get_covers(server: Service, ids: list[int]) -> list[Any]:
    """Call get_cover for all ids concurrently; return the results or faults."""
    greenlets = [gevent.spawn(call, server, "get_cover", number) for number in ids]
    return [greenlet.get() for greenlet in greenlets]


def get_fault(server: Service, number: int) -> xmlrpc.client.Fault:
    fault = call(server, "get_cover", number)
    assert isinstance(fault, xmlrpc.client.Fault), fault
    return fault


def new_ids(count: int) -> list[int]:
    return [next(IDS) for _ in range(count)]


def release_soon(barrier: Barrier) -> None:
    """Release a barrier shortly after its first request."""
    barrier.asked.wait()
    gevent.sleep(0.02)
    barrier.go.set()


def test_the_concurrency_limit_is_shared_by_all_workers(origin: Origin, service: Service) -> None:
    """The origin never sees more requests at once than the limit, and sees as many while calls are waiting."""
    ids = new_ids(40)
    for number in ids:
        origin.item(number, barrier := Barrier(cover(7)))
        gevent.spawn(release_soon, barrier)
    urls = get_covers(service, ids)
    assert all(url.endswith("/7.jpg") for url in urls)
    assert origin.most_under_way == CONCURRENCY


def test_the_delay_between_requests_is_shared_by_all_workers(origin: Origin, tmp_path: Path) -> None:
    started_at: list[float] = []

    def behave(connection: Any, request: Any) -> None:
        started_at.append(time.monotonic())
        cover(7)(connection, request)

    ids = new_ids(10)
    for number in ids:
        origin.item(number, behave)
    with run_service(tmp_path, config(origin, "delay = 0.1\n"), workers=WORKERS) as server:
        assert all(url.endswith("/7.jpg") for url in get_covers(server, ids))
    gaps = [later - earlier for earlier, later in itertools.pairwise(started_at)]
    # These are the times of arrival. A busy machine may delay one of them, which shortens the next gap but not the sum.
    assert min(gaps) > 0.05
    assert sum(gaps) > 0.1 * len(gaps) - 0.05


def test_retry_after_is_honoured_by_all_workers(origin: Origin, service: Service) -> None:
    """For all items of the origin, until the time is over; then requests are sent again."""
    ids = new_ids(21)
    for number in ids:
        origin.item(number, cover(7))
    origin.item(ids[0], page("slow down", status="429 Too Many Requests", headers={"Retry-After": "2"}))
    assert get_fault(service, ids[0]).faultCode == 429
    started_at = time.monotonic()
    faults = get_covers(service, ids[1:])
    assert {fault.faultCode for fault in faults} == {429}
    assert all(re.search(r"ask again in [12] seconds$", fault.faultString) for fault in faults)
    assert len(origin.requests) == 1
    while isinstance(call(service, "get_cover", ids[1]), xmlrpc.client.Fault):
        gevent.sleep(0.05)
    assert time.monotonic() - started_at > 1.9
    assert len(origin.requests) == 2


def test_stale_covers_are_returned_during_retry_after(origin: Origin, tmp_path: Path) -> None:
    cached, throttled = new_ids(2)
    origin.item(cached, cover(7))
    origin.item(throttled, page("", status="503 Service Unavailable", headers={"Retry-After": "60"}))
    with run_service(tmp_path, config(origin, "ttl = 0\ngrace = 0\nkeep = '1d'\nretries = 0\n")) as server:
        url = call(server, "get_cover", cached)
        assert get_fault(server, throttled).faultCode == 429
        assert [call(server, "get_cover", cached) for _ in range(5)] == [url] * 5
        assert len(origin.requests) == 2


def test_the_circuit_breaker_of_a_failing_origin_opens_and_closes(origin: Origin, service: Service) -> None:
    origin.default = SERVER_ERROR
    ids = new_ids(60)
    faults = [get_fault(service, number) for number in ids]
    assert {fault.faultCode for fault in faults} == {502}
    assert len(origin.requests) < 30
    assert "it is tried again in" in faults[-1].faultString
    origin.default = cover(7)
    with gevent.Timeout(30):
        while isinstance(call(service, "get_cover", ids[0]), xmlrpc.client.Fault):
            gevent.sleep(0.05)
    assert all(url.endswith("/7.jpg") for url in get_covers(service, ids))


@pytest.mark.parametrize(
    "text",
    [
        "<title>Just a moment...</title><script>window._cf_chl_opt={}</script>",
        '<html><body id="fab_chlg_20210">Please make sure that you are not a robot</body></html>',
    ],
)
def test_a_challenge_page_is_reported_as_blocked(origin: Origin, service: Service, text: str) -> None:
    """Even with status 200; it is not cached as "no cover"."""
    (number,) = new_ids(1)
    origin.item(number, page(text))
    assert get_fault(service, number).faultCode == 403
    origin.item(number, cover(7))
    assert call(service, "get_cover", number).endswith("/7.jpg")


def test_a_private_address_is_not_connected_to(origin: Origin, tmp_path: Path) -> None:
    origin.default = cover(7)
    text = config(origin).replace("private_network = true", "")
    with run_service(tmp_path, text) as server:
        fault = get_fault(server, 42)
        assert (fault.faultCode, "private" in fault.faultString) == (502, True)
    assert origin.connections == 0


def test_robots_txt_is_honoured_if_the_source_asks_for_it(origin: Origin, tmp_path: Path) -> None:
    """All workers together fetch it once, if their calls are sequential."""
    allowed, forbidden = new_ids(2)
    origin.pages["/robots.txt"] = page(f"User-agent: *\nDisallow: /context/detail/id/{forbidden}\n")
    origin.item(allowed, cover(7))
    origin.item(forbidden, cover(7))
    text = config(origin, "robots = true\n", f"sqlite:{tmp_path}/covers.db")
    with run_service(tmp_path, text, workers=WORKERS) as server:
        fault = get_fault(server, forbidden)
        assert (fault.faultCode, "robots.txt does not allow" in fault.faultString) == (403, True)
        assert call(server, "get_cover", allowed).endswith("/7.jpg")
        for _ in range(10):
            assert get_fault(server, forbidden).faultCode == 403
    assert [request.target for request in origin.requests].count("/robots.txt") == 1
    assert origin.asked_for(forbidden) == 0


def test_explain_cover_reports_each_step(origin: Origin, tmp_path: Path) -> None:
    """The URL of the page, the final URL after redirects, the rules that found nothing, and the rule that matched."""
    origin.pages["/item/42"] = page("", status="302 Found", headers={"Location": "/moved/42"})
    origin.pages["/moved/42"] = page('<meta property="og:image" content="/42.jpg">')
    origin.pages["/item/43"] = page("<p>nothing</p>")
    text = config(origin).partition("[sources")[0] + (
        f'default_source = "shop"\n[sources.shop]\npage_url = "{origin.url}/item/{{id}}"\nprivate_network = true\n'
        "extract = [{ css = 'img.cover' }, { meta = 'og:image' }]\n"
    )
    with run_service(tmp_path, text) as server:
        record = call(server, "explain_cover", 42)
        assert (
            record.items()
            >= {
                "outcome": "found",
                "url": f"{origin.url}/42.jpg",
                "page_url": f"{origin.url}/item/42",
                "final_url": f"{origin.url}/moved/42",
                "status": 200,
                "rule": "meta og:image",
                "misses": ["css img.cover: no match"],
                "cache": "fetched",
            }.items()
        )
        record = call(server, "explain_cover", 43)
        assert (record["outcome"], record["rule"], record["status"]) == ("no_cover", "", 200)
        assert record["misses"] == ["css img.cover: no match", "meta og:image: no match"]
        record = call(server, "explain_cover", 44)
        assert (record["outcome"], record["status"], record["misses"]) == ("no_such_item", 404, [])


def test_a_retry_after_a_broken_connection_keeps_the_concurrency_limit(origin: Origin, tmp_path: Path) -> None:
    (number,) = new_ids(1)
    origin.item(number, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
    with run_service(tmp_path, config(origin, "retries = 2\n")) as server:
        assert get_fault(server, number).faultCode == 502
    assert origin.asked_for(number) == 3
    assert origin.most_under_way == 1
