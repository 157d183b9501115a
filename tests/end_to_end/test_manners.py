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

from tests.support.scripted_origin import COVER_PATH, PAGE_PATH, Barrier, Origin, Request, cover, page, raw, redirect
from tests.support.service import CONFIG, Service, run_service

WORKERS = 2
CONCURRENCY = 4
IDS = itertools.count(1_000_000)
SERVER_ERROR = page("down", status="500 Internal Server Error")
FOUND = cover(7)


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


def start_calls(server: Service, ids: list[int], *arguments: Any) -> list["gevent.Greenlet[..., Any]"]:
    """Start a call of get_cover for each id; return the greenlets."""
    return [gevent.spawn(call, server, "get_cover", number, *arguments) for number in ids]


def get_covers(server: Service, ids: list[int], *arguments: Any) -> list[Any]:
    """Call get_cover for all ids concurrently; return the results or faults."""
    return [greenlet.get() for greenlet in start_calls(server, ids, *arguments)]


def get_fault(server: Service, number: int, *arguments: Any) -> xmlrpc.client.Fault:
    fault = call(server, "get_cover", number, *arguments)
    assert isinstance(fault, xmlrpc.client.Fault), fault
    return fault


def are_found(results: list[Any]) -> bool:
    """Return whether each result is the cover of ``FOUND``."""
    return [result for result in results if not isinstance(result, str) or not result.endswith("/7.jpg")] == []


def new_ids(count: int) -> list[int]:
    return [next(IDS) for _ in range(count)]


def release_soon(barrier: Barrier) -> None:
    """Release a barrier shortly after its first request."""
    barrier.reached.wait()
    gevent.sleep(0.02)
    barrier.go.set()


def test_the_concurrency_limit_is_shared_by_all_workers(origin: Origin, service: Service) -> None:
    """The origin never sees more requests at once than the limit, and sees as many while calls are waiting."""
    ids = new_ids(40)
    for number in ids:
        origin.item(number, barrier := Barrier(FOUND))
        gevent.spawn(release_soon, barrier)
    assert are_found(get_covers(service, ids))
    assert origin.max_in_progress == CONCURRENCY


def test_the_delay_between_requests_is_shared_by_all_workers(origin: Origin, tmp_path: Path) -> None:
    started_at: list[float] = []

    def behave(connection: Any, request: Request) -> None:
        started_at.append(time.monotonic())
        FOUND(connection, request)

    ids = new_ids(10)
    for number in ids:
        origin.item(number, behave)
    with run_service(tmp_path, config(origin, "delay = 0.1\n"), workers=WORKERS) as server:
        assert are_found(get_covers(server, ids))
    gaps = [later - earlier for earlier, later in itertools.pairwise(started_at)]
    # These are the times of arrival. A busy machine may delay one of them, which shortens the next gap but not the sum.
    assert min(gaps) > 0.05
    assert sum(gaps) > 0.1 * len(gaps) - 0.05


def other_host(origin: Origin, path: str) -> str:
    """Return a URL of the origin by the name localhost, which the service treats as another host."""
    return f"http://localhost:{origin.port}{path}"


def two_hosts(origin: Origin, keys: str, *, other_keys: str = "", settings: str = "") -> str:
    """Return a configuration with the source ``ozon`` at 127.0.0.1 and the source ``other`` at localhost.

    Both tables contain ``keys``, unless ``other_keys`` replaces them in the second one.
    """
    other = f'page_url = "{other_host(origin, "/other/{id}")}"\nextract = [{{ regex = "({COVER_PATH})" }}]\n'
    return (
        f'{settings}\ndefault_source = "ozon"\n{config(origin, keys)}allowed_hosts = ["localhost"]\n'
        f"[sources.other]\n{other.replace('{number}', '[0-9]+')}private_network = true\n{other_keys or keys}"
        'allowed_hosts = ["127.0.0.1"]\n'
    )


@pytest.mark.parametrize("concurrency", [1, 8])
def test_two_hosts_that_redirect_to_each_other_serve_all(origin: Origin, tmp_path: Path, concurrency: int) -> None:
    """None of 512 uncached lookups fails.

    This test fails if a redirect keeps the slot of the first host: then all lookups fail.
    """

    def behave(connection: Any, request: Request) -> None:
        if request.target == "/found":
            FOUND(connection, request)
        elif request.target.startswith("/other/"):
            redirect(f"{origin.url}/found")(connection, request)
        else:
            redirect(other_host(origin, "/found"))(connection, request)

    origin.default = behave
    ids = new_ids(256)
    text = two_hosts(origin, f"concurrency = {concurrency}\n", settings="deadline = 20")
    with run_service(tmp_path, text, workers=WORKERS) as server:
        batches = [gevent.spawn(call, server, "get_covers", ids, source) for source in ("ozon", "other")]
        results = [result for batch in batches for result in batch.get().values()]
    assert len(results) == 512
    assert are_found(results)
    assert origin.max_in_progress <= 2 * concurrency


def test_a_busy_host_that_a_shop_redirects_to_does_not_stall_the_shop(origin: Origin, tmp_path: Path) -> None:
    """More lookups wait for the busy host than the shop or the worker has slots.

    This test fails if a lookup keeps a slot of either while it waits.
    """
    barrier = Barrier(FOUND)
    origin.pages["/busy"] = barrier
    redirecting, direct = new_ids(20), new_ids(20)
    for number in redirecting:
        origin.item(number, redirect(other_host(origin, "/busy")))
    for number in direct:
        origin.item(number, FOUND)
    text = two_hosts(origin, "concurrency = 2\n", settings="fetch_concurrency = 4\ndeadline = 60")
    with run_service(tmp_path, text) as server:
        waiting = start_calls(server, redirecting)
        barrier.reached.wait()
        assert are_found(get_covers(server, direct))
        assert not any(greenlet.ready() for greenlet in waiting)
        barrier.go.set()
        assert are_found([greenlet.get() for greenlet in waiting])
    assert origin.max_in_progress <= 4


def test_a_host_whose_slot_comes_late_has_its_full_time(origin: Origin, tmp_path: Path) -> None:
    """The lookups wait for the second host longer than their timeout, and they are enough to open a circuit breaker.

    This test fails if the wait counts as time of the first host or of the page.
    """
    barrier = Barrier(FOUND)
    origin.pages |= {"/other/1": barrier, "/found": FOUND}
    ids = new_ids(12)
    for number in ids:
        origin.item(number, redirect(other_host(origin, "/found")))
    keys = "concurrency = 1\nretries = 0\ntimeout = {}\n"
    text = two_hosts(origin, keys.format(0.5), other_keys=keys.format(60), settings="deadline = 60")
    with run_service(tmp_path, text) as server:
        busy = start_calls(server, [1], "other")
        barrier.reached.wait()
        waiting = start_calls(server, ids)
        while sum(origin.request_count(number) for number in ids) < len(ids):
            gevent.sleep(0.01)
        gevent.sleep(0.6)
        barrier.go.set()
        assert are_found([greenlet.get() for greenlet in waiting + busy])


def test_a_slow_robots_txt_of_another_host_is_not_the_fault_of_the_first_one(origin: Origin, tmp_path: Path) -> None:
    """The lookups that wait for the file in vain are enough to open a circuit breaker.

    This test fails if they count as timeouts of the first host.
    """
    redirecting, direct = new_ids(10), new_ids(20)
    for number in redirecting:
        origin.item(number, redirect(other_host(origin, "/found")))
    for number in direct:
        origin.item(number, FOUND)
    barrier = Barrier(page(""))

    def robots_txt(connection: Any, request: Request) -> None:
        (barrier if request.headers["host"].startswith("localhost") else page(""))(connection, request)

    origin.pages["/robots.txt"] = robots_txt
    text = two_hosts(origin, "robots = true\ntimeout = 0.5\nretries = 0\nerror_ttl = 60\n", settings="deadline = 60")
    with run_service(tmp_path, text) as server:
        for fault in get_covers(server, redirecting):
            assert fault.faultCode == 502
            assert f"localhost:{origin.port}/robots.txt cannot be fetched" in fault.faultString
        assert are_found(get_covers(server, direct))
    barrier.go.set()


def test_the_fault_504_names_the_host_or_the_queue(origin: Origin, tmp_path: Path) -> None:
    """The text tells the client whether the origin was slow or the service was busy."""
    host = f"127.0.0.1:{origin.port}"
    barrier = Barrier(FOUND)
    origin.default = barrier
    with run_service(
        tmp_path, two_hosts(origin, "concurrency = 1\ntimeout = 0.2\n", settings="deadline = 60")
    ) as server:
        fault = get_fault(server, *new_ids(1))
        assert (fault.faultCode, fault.faultString) == (504, f"{host} took longer than 0.2 seconds")
    with run_service(
        tmp_path, config(origin, "concurrency = 1\n").replace("store", "deadline = 0.5\nstore", 1)
    ) as server:
        slow, queued = new_ids(2)
        waiting = start_calls(server, [slow])
        while not origin.request_count(slow):
            gevent.sleep(0.01)
        fault = get_fault(server, queued)
        assert fault.faultCode == 504
        assert re.search(rf"waiting for (a slot of )?{re.escape(host)}", fault.faultString)
        assert "slot" in fault.faultString
        (fault,) = [greenlet.get() for greenlet in waiting]
        assert fault.faultCode == 504
        assert fault.faultString == f"no answer within 0.5 seconds, still waiting for a response of {host}"
        barrier.go.set()


def test_retry_after_is_honoured_by_all_workers(origin: Origin, service: Service) -> None:
    """For all items of the origin, until the time is over; then requests are sent again."""
    ids = new_ids(21)
    for number in ids:
        origin.item(number, FOUND)
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
    origin.item(cached, FOUND)
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
    origin.default = FOUND
    with gevent.Timeout(30):
        while isinstance(call(service, "get_cover", ids[0]), xmlrpc.client.Fault):
            gevent.sleep(0.05)
    assert are_found(get_covers(service, ids))


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
    origin.item(number, FOUND)
    assert are_found([call(service, "get_cover", number)])


def test_a_private_address_is_not_connected_to(origin: Origin, tmp_path: Path) -> None:
    origin.default = FOUND
    text = config(origin).replace("private_network = true", "")
    with run_service(tmp_path, text) as server:
        fault = get_fault(server, 42)
        assert (fault.faultCode, "private" in fault.faultString) == (502, True)
    assert origin.connections == 0


def test_robots_txt_is_honoured_if_the_source_asks_for_it(origin: Origin, tmp_path: Path) -> None:
    """All workers together fetch it once, if their calls are sequential."""
    allowed, forbidden = new_ids(2)
    origin.pages["/robots.txt"] = page(f"User-agent: *\nDisallow: {PAGE_PATH.format(id=forbidden)}\n")
    origin.item(allowed, FOUND)
    origin.item(forbidden, FOUND)
    text = config(origin, "robots = true\n", f"sqlite:{tmp_path}/covers.db")
    with run_service(tmp_path, text, workers=WORKERS) as server:
        fault = get_fault(server, forbidden)
        assert (fault.faultCode, "robots.txt does not allow" in fault.faultString) == (403, True)
        assert are_found([call(server, "get_cover", allowed)])
        for _ in range(10):
            assert get_fault(server, forbidden).faultCode == 403
    assert [request.target for request in origin.requests].count("/robots.txt") == 1
    assert origin.request_count(forbidden) == 0


@pytest.mark.parametrize("key", ["throttled", "blocked"])
def test_a_forbidden_robots_txt_allows_all_pages_whatever_403_means_on_a_page(
    origin: Origin, tmp_path: Path, key: str
) -> None:
    """RFC 9309, 2.3.1.3, requires it.

    This test fails if the response patterns of the source are applied to robots.txt.
    """
    found, refused = new_ids(2)
    origin.pages["/robots.txt"] = page("forbidden", status="403 Forbidden")
    origin.item(found, FOUND)
    origin.item(refused, page("slow down", status="403 Forbidden"))
    with run_service(tmp_path, config(origin, f"robots = true\n{key} = [{{ status = 403 }}]\n")) as server:
        assert are_found([call(server, "get_cover", found)])
        assert get_fault(server, refused).faultCode == {"throttled": 429, "blocked": 403}[key]


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
    assert origin.request_count(number) == 3
    assert origin.max_in_progress == 1
