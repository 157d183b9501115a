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
from tests.fetch.flooding import LIMIT_ERRORS, flooding
from tests.support.scripted_origin import Origin, cover, page
from tests.support.service import CONFIG, Service, run_service

MAX_PAGE = 2_097_152  # the default

#: The fault for each id of the source "flood": its code, and a part of its text.
#: The redirect leads to a page without a cover.
FAULTS: dict[str, tuple[int, str]] = {
    name: (502, text.format(max_page=MAX_PAGE)) for name, text in LIMIT_ERRORS.items()
} | {
    "tiny sends": (502, f"more than {MAX_PAGE} bytes"),
    "redirect": (404, "no cover on the page"),
    "missing": (404, "answered 404"),
    "there": (404, "no cover on the page"),
}

#: Pages of 2 MB that take the parser as long as possible. An id is a name and a digit, and is part of a URL.
PAGES = {
    "end-tags": b"</p>" * 500_000,
    "tag-openings": b"<" * 2_000_000,
    "comments": b"<!--" * 500_000,
    "divs": b"<div>" * 400_000,
}


@pytest.fixture(scope="module")
def floods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a process that floods its clients."""
    with flooding(tmp_path_factory.mktemp("flooder"), trustme.CA()) as (plain, _):
        yield plain


@pytest.fixture
def service(origin: Origin, floods: int, tmp_path: Path) -> Iterator[Service]:
    flood = f'[sources.flood]\npage_url = "http://127.0.0.1:{floods}/{{id}}"\nid_pattern = "[a-z0-9 ]+"\n'
    flood += "extract = [{ css = 'img' }]\nprivate_network = true\nconcurrency = 20\nerror_ttl = 0\nnegative_ttl = 0\n"
    flood += "timeout = 60\n"
    with run_service(tmp_path, "deadline = 60\n" + CONFIG.format(origin=origin.url) + flood) as running:
        yield running


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, as by clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def max_cpu_seconds_per_hit(server: Service, attack: Callable[[], None]) -> float:
    """Look up a cached cover repeatedly during ``attack``.

    Returns the maximum of the processor time that the worker used between a request and its response. Unlike elapsed
    time, processor time does not depend on other processes.
    """
    client, longest, hits = server.client(), 0.0, 0
    url = client.get_cover(1)
    (worker,) = server.workers()
    attacking = gevent.spawn(attack)
    while not attacking.ready():
        started_at = cpu_seconds(worker)
        assert client.get_cover(1) == url
        longest = max(longest, cpu_seconds(worker) - started_at)
        hits += 1
    attacking.get()
    assert hits > 10
    return longest


def get_fault(client: Any, item: str) -> xmlrpc.client.Fault:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        client.get_cover(item, "flood")
    return caught.value


def test_concurrent_floods_do_not_delay_hits(origin: Origin, service: Service) -> None:
    """The worker uses about 5 ms of processor time for a hit during the floods.

    This test also fails if a flood does not end at its own limit.
    """
    origin.item(1, cover(7))
    assert FAULTS.keys() == flooder.FLOODS.keys()

    def flood() -> None:
        lookups = {name: gevent.spawn(get_fault, service.client(), name) for name in FAULTS}
        for name, lookup in lookups.items():
            fault, (code, text) = lookup.get(), FAULTS[name]
            assert (name, fault.faultCode) == (name, code), fault
            assert text in fault.faultString

    assert max_cpu_seconds_per_hit(service, flood) < 0.1


def test_pages_that_are_slow_to_parse_do_not_delay_hits(origin: Origin, tmp_path: Path) -> None:
    """The worker uses about 20 ms of processor time during a hit, most of it in the threads that parse.

    This test fails if a large page is parsed in the thread of the event loop: then the maximum exceeds 0.3 seconds.
    """
    origin.item(1, cover(7))
    ids = [f"{name}{number}" for name in PAGES for number in range(4)]
    for item in ids:
        origin.pages[f"/{item}"] = page(PAGES[item[:-1]])
    pages = f'[sources.pages]\npage_url = "{origin.url}/{{id}}"\nextract = [{{ css = "img" }}]\nnegative_ttl = 0\n'
    pages += "private_network = true\nconcurrency = 16\ntimeout = 60\n"
    with run_service(tmp_path, "deadline = 60\n" + CONFIG.format(origin=origin.url) + pages) as server:

        def parse_pages() -> None:
            faults = server.client().get_covers(ids, "pages")
            assert {item: fault["faultCode"] for item, fault in faults.items()} == dict.fromkeys(ids, 404)
            assert all("no cover on the page" in fault["faultString"] for fault in faults.values())

        assert max_cpu_seconds_per_hit(server, parse_pages) < 0.2
