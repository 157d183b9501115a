"""What a hostile origin can do to a service: let its own lookups fail, and delay no others."""

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

#: The fault of each flood, by its name: the code, and a part of the text. A redirect leads to a page without a cover.
FAULTS: dict[str, tuple[int, str]] = {
    name: (502, text.format(max_page=MAX_PAGE)) for name, text in LIMIT_ERRORS.items()
} | {
    "tiny sends": (502, f"more than {MAX_PAGE} bytes"),
    "redirect": (404, "no cover on the page"),
    "missing": (404, "answered 404"),
    "there": (404, "no cover on the page"),
}

#: The bodies of pages of 2 MB that take as long to parse as there are such pages.
PAGES = {
    "ends": b"</p>" * 500_000,
    "beginnings": b"<" * 2_000_000,
    "comments": b"<!--" * 500_000,
    "divs": b"<div>" * 400_000,
}


@pytest.fixture(scope="module")
def flooder_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a process that floods its clients."""
    with flooding(tmp_path_factory.mktemp("flooder"), trustme.CA()) as (port, _):
        yield port


@pytest.fixture
def service(origin: Origin, flooder_port: int, tmp_path: Path) -> Iterator[Service]:
    flood = f'[sources.flood]\npage_url = "http://127.0.0.1:{flooder_port}/{{id}}"\nid_pattern = "[a-z0-9 ]+"\n'
    flood += "extract = [{ css = 'img' }]\nprivate_network = true\nconcurrency = 20\nerror_ttl = 0\nnegative_ttl = 0\n"
    flood += "timeout = 60\n"
    with run_service(tmp_path, "deadline = 60\n" + CONFIG.format(origin=origin.url) + flood) as running:
        yield running


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, by its clock (clock_getcpuclockid(3))."""
    return time.clock_gettime(~pid << 3 | 2)


def max_cpu_seconds_per_hit(server: Service, disturb: Callable[[], None]) -> float:
    """Look up a cached cover again and again while ``disturb`` runs.

    Returns the most processor time that the worker used from a request to its response. Unlike the time of the clock,
    that does not depend on what else the machine does.
    """
    client, longest, hits = server.client(), 0.0, 0
    url = client.get_cover(1)
    (worker,) = server.workers()
    disturbing = gevent.spawn(disturb)
    while not disturbing.ready():
        started_at = cpu_seconds(worker)
        assert client.get_cover(1) == url
        longest = max(longest, cpu_seconds(worker) - started_at)
        hits += 1
    disturbing.get()
    assert hits > 10
    return longest


def fault_of(client: Any, item: str) -> xmlrpc.client.Fault:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        client.get_cover(item, "flood")
    return caught.value


def test_floods_of_all_kinds_at_once_delay_no_hit(origin: Origin, service: Service) -> None:
    """A hit takes some 5 ms of the worker's time meanwhile. Fails if a flood ends otherwise than at its own limit."""
    origin.item(1, cover(7))
    assert FAULTS.keys() == flooder.FLOODS.keys()

    def flood() -> None:
        lookups = {name: gevent.spawn(fault_of, service.client(), name) for name in FAULTS}
        for name, lookup in lookups.items():
            fault, (code, text) = lookup.get(), FAULTS[name]
            assert (name, fault.faultCode) == (name, code), fault
            assert text in fault.faultString

    assert max_cpu_seconds_per_hit(service, flood) < 0.1


def test_pages_that_take_long_to_parse_delay_no_hit(origin: Origin, tmp_path: Path) -> None:
    """A hit takes some 20 ms of the worker's time, most of it in the threads that parse.

    Fails if a large page is parsed in the thread of the event loop: the slowest takes more than 0.3 seconds.
    """
    origin.item(1, cover(7))
    ids = [f"{name}{number}" for name in PAGES for number in range(4)]
    for item in ids:
        origin.pages[f"/{item}"] = page(PAGES[item[:-1]])
    pages = f'[sources.pages]\npage_url = "{origin.url}/{{id}}"\nextract = [{{ css = "img" }}]\nnegative_ttl = 0\n'
    pages += "private_network = true\nconcurrency = 16\ntimeout = 60\n"
    with run_service(tmp_path, "deadline = 60\n" + CONFIG.format(origin=origin.url) + pages) as server:

        def read() -> None:
            faults = server.client().get_covers(ids, "pages")
            assert {item: fault["faultCode"] for item, fault in faults.items()} == dict.fromkeys(ids, 404)
            assert all("no cover on the page" in fault["faultString"] for fault in faults.values())

        assert max_cpu_seconds_per_hit(server, read) < 0.2
