"""What a hostile origin can do to a service: fail, and hold nobody up."""

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

#: Seconds that a hit may take while all of it goes on, or so many times the slowest one of a quiet server. In a worker
#: that such an origin can hold up it takes half a second and more; other tests beside this one have made it 0.07.
LONGEST_HIT, TIMES_QUIET = 0.1, 5
TRIES = 5

#: By what floods are called in the ids of the source "flood"; a redirect leads to a page, which has no cover.
FAULTS = {name.replace(" ", "%20"): 502 for name in flooder.FLOODS} | {"redirect": 404, "missing": 404, "there": 404}


@pytest.fixture(scope="module")
def floods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a process that floods whoever asks it."""
    with flooding(tmp_path_factory.mktemp("flooder"), trustme.CA()) as (plain, _):
        yield plain


@pytest.fixture
def service(origin: Origin, floods: int, tmp_path: Path) -> Iterator[Service]:
    flood = f'[sources.flood]\npage_url = "http://127.0.0.1:{floods}/{{id}}"\nid_pattern = "[a-z0-9 ]+"\n'
    flood += "extract = [{ css = 'img' }]\nprivate_network = true\nconcurrency = 20\nerror_ttl = 0\nnegative_ttl = 0\n"
    flood += "timeout = 20\n"
    with run_service(tmp_path, "deadline = 20\n" + CONFIG.format(origin=origin.url) + flood) as running:
        yield running


def fault_of(client: Any, item: str) -> int:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        client.get_cover(item, "flood")
    return caught.value.faultCode


def slowest_hit(client: Any, calls: int = 0, until: Any = None) -> float:
    """Return the longest time that a hit takes of so many, or of all until a greenlet is done."""
    longest = 0.0
    while calls > 0 or (until is not None and not until.ready()):
        began = time.monotonic()
        client.get_cover(1)
        longest = max(longest, time.monotonic() - began)
        calls -= 1
    return longest


#: Pages of 2 MB that take as long to be read as there is to be had.
PAGES = {
    "ends": b"</p>" * 500_000,
    "beginnings": b"<" * 2_000_000,
    "comments": b"<!--" * 500_000,
    "divs": b"<div>" * 400_000,
}


def hits_are_quick(hits: Any, disturbed: Callable[[], None]) -> None:
    """Fail unless hits go on as they did while something goes on: the best of some tries counts."""
    measured = []
    for _ in range(TRIES):
        quiet = slowest_hit(hits, calls=300)
        longest = slowest_hit(hits, until=gevent.spawn(disturbed))
        measured.append((longest, quiet))
        if longest < max(LONGEST_HIT, TIMES_QUIET * quiet):
            return
    pytest.fail(f"the slowest hits, and those of a quiet server: {measured}")


def test_floods_of_all_kinds_at_once_hold_up_no_hit(origin: Origin, service: Service) -> None:
    """What else this machine does takes its time too, so the best of some tries counts."""
    origin.item(1, cover(7))
    hits = service.client()
    hits.get_cover(1)

    def flood() -> None:
        calls = {name: gevent.spawn(fault_of, service.client(), name.replace("%20", " ")) for name in FAULTS}
        assert {name: call.get() for name, call in calls.items()} == FAULTS

    hits_are_quick(hits, flood)


def test_pages_that_take_long_to_be_read_hold_up_no_hit(origin: Origin, tmp_path: Path) -> None:
    origin.item(1, cover(7))
    for name, body in PAGES.items():
        for number in range(4):
            origin.pages[f"/{name}{number}"] = page(body)
    pages = f'[sources.pages]\npage_url = "{origin.url}/{{id}}"\nextract = [{{ css = "img" }}]\nnegative_ttl = 0\n'
    pages += "private_network = true\nconcurrency = 16\n"
    with run_service(tmp_path, CONFIG.format(origin=origin.url) + pages) as server:
        hits, asking = server.client(), server.client()
        hits.get_cover(1)

        def read() -> None:
            faults = asking.get_covers([f"{name}{number}" for name in PAGES for number in range(4)], "pages")
            assert {fault["faultCode"] for fault in faults.values()} == {404}

        hits_are_quick(hits, read)
