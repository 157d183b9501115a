"""Hostile origins: lookups at them fail, and do not delay cached covers."""

import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import trustme

from tests.fetch import flooder
from tests.fetch.flooding import flooding
from tests.support.scripted_origin import Origin, cover, page
from tests.support.service import CONFIG, Service, run_service

#: During an attack, the slowest hit may take this many seconds, or this many times as long as the slowest without one.
#: In a worker that an origin can block, it takes half a second or more. Tests that run in parallel have made it 0.07.
MAX_HIT_SECONDS, MAX_SLOWDOWN = 0.1, 5
TRIES = 5

#: The fault code for each id of the source "flood". The redirect leads to a page without a cover.
FAULTS = {name.replace(" ", "%20"): 502 for name in flooder.FLOODS} | {"redirect": 404, "missing": 404, "there": 404}


@pytest.fixture(scope="module")
def floods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a process that floods its clients."""
    with flooding(tmp_path_factory.mktemp("flooder"), trustme.CA()) as (plain, _):
        yield plain


@pytest.fixture
def service(origin: Origin, floods: int, tmp_path: Path) -> Iterator[Service]:
    flood = f'[sources.flood]\npage_url = "http://127.0.0.1:{floods}/{{id}}"\nid_pattern = "[a-z0-9 ]+"\n'
    flood += "extract = [{ css = 'img' }]\nprivate_network = true\nconcurrency = 20\nerror_ttl = 0\nnegative_ttl = 0\n"
    flood += "timeout = 20\n"
    with run_service(tmp_path, "deadline = 20\n" + CONFIG.format(origin=origin.url) + flood) as running:
        yield running


def fault_code(client: Any, item: str) -> int:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        client.get_cover(item, "flood")
    return caught.value.faultCode


def slowest_hit_seconds(client: Any, calls: int = 0, until: Any = None) -> float:
    """Return the duration of the slowest of ``calls`` hits, or of all until the greenlet ``until`` has finished."""
    longest = 0.0
    while calls > 0 or (until is not None and not until.ready()):
        started_at = time.monotonic()
        client.get_cover(1)
        longest = max(longest, time.monotonic() - started_at)
        calls -= 1
    return longest


#: Pages of 2 MB that take the parser as long as possible.
PAGES = {
    "end tags": b"</p>" * 500_000,
    "tag openings": b"<" * 2_000_000,
    "comments": b"<!--" * 500_000,
    "divs": b"<div>" * 400_000,
}


def assert_hits_stay_fast(client: Any, attack: Callable[[], None]) -> None:
    """Fail unless hits stay fast during ``attack``. The best of several tries counts, as other processes disturb it."""
    measured = []
    for _ in range(TRIES):
        baseline = slowest_hit_seconds(client, calls=300)
        slowest = slowest_hit_seconds(client, until=gevent.spawn(attack))
        measured.append((slowest, baseline))
        if slowest < max(MAX_HIT_SECONDS, MAX_SLOWDOWN * baseline):
            return
    pytest.fail(f"the slowest hits with and without attack: {measured}")


def test_concurrent_floods_do_not_delay_hits(origin: Origin, service: Service) -> None:
    origin.item(1, cover(7))
    client = service.client()
    client.get_cover(1)

    def flood() -> None:
        calls = {name: gevent.spawn(fault_code, service.client(), name.replace("%20", " ")) for name in FAULTS}
        assert {name: call.get() for name, call in calls.items()} == FAULTS

    assert_hits_stay_fast(client, flood)


def test_pages_that_are_slow_to_parse_do_not_delay_hits(origin: Origin, tmp_path: Path) -> None:
    origin.item(1, cover(7))
    for name, body in PAGES.items():
        for number in range(4):
            origin.pages[f"/{name}{number}"] = page(body)
    pages = f'[sources.pages]\npage_url = "{origin.url}/{{id}}"\nextract = [{{ css = "img" }}]\nnegative_ttl = 0\n'
    pages += "private_network = true\nconcurrency = 16\n"
    with run_service(tmp_path, CONFIG.format(origin=origin.url) + pages) as server:
        client, attacker = server.client(), server.client()
        client.get_cover(1)

        def parse_pages() -> None:
            faults = attacker.get_covers([f"{name}{number}" for name in PAGES for number in range(4)], "pages")
            assert {fault["faultCode"] for fault in faults.values()} == {404}

        assert_hits_stay_fast(client, parse_pages)
