"""Manners towards origins, over two workers and one store."""

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
DOWN = page("down", status="500 Internal Server Error")


def config(origin: Origin, keys: str = "", store: str = "none") -> str:
    return CONFIG.format(origin=origin.url).replace('"none"', f'"{store}"') + keys


@pytest.fixture
def service(origin: Origin, tmp_path: Path) -> Iterator[Service]:
    """A service with two workers over SQLite that asks an origin of its own."""
    keys = f"concurrency = {CONCURRENCY}\nretries = 0\nerror_ttl = 0\n"
    with run_service(tmp_path, config(origin, keys, f"sqlite:{tmp_path}/covers.db"), workers=WORKERS) as running:
        yield running


def call(server: Service, method: str, *arguments: Any) -> Any:
    """Call over a connection of its own, so that any worker may answer; return the answer, or the fault."""
    with xmlrpc.client.ServerProxy(server.url) as client:
        try:
            return getattr(client, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            return fault


def calls(server: Service, ids: list[int]) -> list[Any]:
    """Call for all ids at once."""
    calling = [gevent.spawn(call, server, "get_cover", number) for number in ids]
    return [greenlet.get() for greenlet in calling]


def fault_of(server: Service, number: int) -> xmlrpc.client.Fault:
    fault = call(server, "get_cover", number)
    assert isinstance(fault, xmlrpc.client.Fault), fault
    return fault


def fresh(count: int) -> list[int]:
    return [next(IDS) for _ in range(count)]


def let_go(hold: Barrier) -> None:
    """Let a page go a little after it was asked for."""
    hold.asked.wait()
    gevent.sleep(0.02)
    hold.go.set()


def test_concurrency_holds_over_all_workers(origin: Origin, service: Service) -> None:
    """An origin with four places never sees five, and none of them stays empty while somebody waits."""
    ids = fresh(40)
    for number in ids:
        origin.item(number, hold := Barrier(cover(7)))
        gevent.spawn(let_go, hold)
    answers = calls(service, ids)
    assert all(answer.endswith("/7.jpg") for answer in answers)
    assert origin.most_under_way == CONCURRENCY


def test_pages_are_begun_a_delay_apart_over_all_workers(origin: Origin, tmp_path: Path) -> None:
    begun: list[float] = []

    def behave(connection: Any, request: Any) -> None:
        begun.append(time.monotonic())
        cover(7)(connection, request)

    ids = fresh(10)
    for number in ids:
        origin.item(number, behave)
    with run_service(tmp_path, config(origin, "delay = 0.1\n"), workers=WORKERS) as server:
        assert all(answer.endswith("/7.jpg") for answer in calls(server, ids))
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    # What is seen here is when pages arrive, and a busy machine may hold up one of two: over all, that evens out.
    assert min(gaps) > 0.05
    assert sum(gaps) > 0.1 * len(gaps) - 0.05


def test_an_origin_that_asks_to_wait_is_not_asked_by_any_worker(origin: Origin, service: Service) -> None:
    """For whatever item, until it is over; then it is asked again."""
    ids = fresh(21)
    for number in ids:
        origin.item(number, cover(7))
    origin.item(ids[0], page("slow down", status="429 Too Many Requests", headers={"Retry-After": "2"}))
    assert fault_of(service, ids[0]).faultCode == 429
    began = time.monotonic()
    faults = calls(service, ids[1:])
    assert {fault.faultCode for fault in faults} == {429}
    assert all(re.search(r"ask again in [12] seconds$", fault.faultString) for fault in faults)
    assert len(origin.requests) == 1
    while isinstance(call(service, "get_cover", ids[1]), xmlrpc.client.Fault):
        gevent.sleep(0.05)
    assert time.monotonic() - began > 1.9
    assert len(origin.requests) == 2


def test_known_covers_are_served_while_their_origin_asks_to_wait(origin: Origin, tmp_path: Path) -> None:
    known, asking = fresh(2)
    origin.item(known, cover(7))
    origin.item(asking, page("", status="503 Service Unavailable", headers={"Retry-After": "60"}))
    with run_service(tmp_path, config(origin, "ttl = 0\ngrace = 0\nkeep = '1d'\nretries = 0\n")) as server:
        url = call(server, "get_cover", known)
        assert fault_of(server, asking).faultCode == 429
        assert [call(server, "get_cover", known) for _ in range(5)] == [url] * 5
        assert len(origin.requests) == 2


def test_an_origin_that_is_down_is_left_alone_and_asked_again_when_it_is_back(origin: Origin, service: Service) -> None:
    origin.default = DOWN
    ids = fresh(60)
    faults = [fault_of(service, number) for number in ids]
    assert {fault.faultCode for fault in faults} == {502}
    assert len(origin.requests) < 30
    assert "it is tried again in" in faults[-1].faultString
    origin.default = cover(7)
    with gevent.Timeout(30):
        while isinstance(call(service, "get_cover", ids[0]), xmlrpc.client.Fault):
            gevent.sleep(0.05)
    assert all(answer.endswith("/7.jpg") for answer in calls(service, ids))


@pytest.mark.parametrize(
    "text",
    [
        "<title>Just a moment...</title><script>window._cf_chl_opt={}</script>",
        '<html><body id="fab_chlg_20210">Please make sure that you are not a robot</body></html>',
    ],
)
def test_a_challenge_is_a_block_whatever_its_status(origin: Origin, service: Service, text: str) -> None:
    """And it is not remembered as "no cover"."""
    (number,) = fresh(1)
    origin.item(number, page(text))
    assert fault_of(service, number).faultCode == 403
    origin.item(number, cover(7))
    assert call(service, "get_cover", number).endswith("/7.jpg")


def test_a_private_address_is_not_dialled(origin: Origin, tmp_path: Path) -> None:
    origin.default = cover(7)
    text = config(origin).replace("private_network = true", "")
    with run_service(tmp_path, text) as server:
        fault = fault_of(server, 42)
        assert (fault.faultCode, "private" in fault.faultString) == (502, True)
    assert origin.connections == 0


def test_robots_txt_is_honoured_where_the_source_says_so(origin: Origin, tmp_path: Path) -> None:
    """And it is asked for once, by all workers together, as long as they do so one after the other."""
    allowed, forbidden = fresh(2)
    origin.pages["/robots.txt"] = page(f"User-agent: *\nDisallow: /context/detail/id/{forbidden}\n")
    origin.item(allowed, cover(7))
    origin.item(forbidden, cover(7))
    text = config(origin, "robots = true\n", f"sqlite:{tmp_path}/covers.db")
    with run_service(tmp_path, text, workers=WORKERS) as server:
        fault = fault_of(server, forbidden)
        assert (fault.faultCode, "robots.txt does not allow" in fault.faultString) == (403, True)
        assert call(server, "get_cover", allowed).endswith("/7.jpg")
        for _ in range(10):
            assert fault_of(server, forbidden).faultCode == 403
    assert [request.target for request in origin.requests].count("/robots.txt") == 1
    assert origin.asked_for(forbidden) == 0


def test_explain_tells_the_trail(origin: Origin, tmp_path: Path) -> None:
    """What was asked for, where that led, which rules found nothing and which one did."""
    origin.pages["/item/42"] = page("", status="302 Found", headers={"Location": "/moved/42"})
    origin.pages["/moved/42"] = page('<meta property="og:image" content="/42.jpg">')
    origin.pages["/item/43"] = page("<p>nothing</p>")
    text = config(origin).partition("[sources")[0] + (
        f'default_source = "shop"\n[sources.shop]\npage_url = "{origin.url}/item/{{id}}"\nprivate_network = true\n'
        "extract = [{ css = 'img.cover' }, { meta = 'og:image' }]\n"
    )
    with run_service(tmp_path, text) as server:
        told = call(server, "explain_cover", 42)
        assert (
            told.items()
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
        told = call(server, "explain_cover", 43)
        assert (told["outcome"], told["rule"], told["status"]) == ("no_cover", "", 200)
        assert told["misses"] == ["css img.cover: no match", "meta og:image: no match"]
        told = call(server, "explain_cover", 44)
        assert (told["outcome"], told["status"], told["misses"]) == ("no_such_item", 404, [])


def test_a_broken_connection_is_tried_again_within_the_gate(origin: Origin, tmp_path: Path) -> None:
    (number,) = fresh(1)
    origin.item(number, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
    with run_service(tmp_path, config(origin, "retries = 2\n")) as server:
        assert fault_of(server, number).faultCode == 502
    assert origin.asked_for(number) == 3
    assert origin.most_under_way == 1
