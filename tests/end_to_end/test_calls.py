"""XML-RPC calls over HTTP, as clients make them."""

import itertools
import statistics
import time
import xmlrpc.client
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.support.scripted_origin import Barrier, Behaviour, Origin, cover, page, raw
from tests.support.service import CONFIG, Service, run_service

IDS = itertools.count(1_000_000)


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    """An origin for all tests of the module, each of which has items of its own."""
    with Origin().serving() as served:
        yield served


@pytest.fixture
def fresh_origin() -> Iterator[Origin]:
    """An origin for one test, which checks its counters."""
    with Origin().serving() as served:
        yield served


@pytest.fixture(scope="module")
def server(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one worker, for all tests of the module."""
    with run_service(tmp_path_factory.mktemp("server"), CONFIG.format(origin=origin.url)) as running:
        yield running


@pytest.fixture
def item() -> int:
    """An id that no other test uses."""
    return next(IDS)


def fault(call: Any, *arguments: Any) -> xmlrpc.client.Fault:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        call(*arguments)
    return caught.value


def test_a_cover_is_returned_and_cached(origin: Origin, server: Service, item: int) -> None:
    origin.item(item, cover(7))
    client = server.client()
    url = f"{origin.url}/multimedia/audio_cd_covers/7.jpg"
    assert client.get_cover(item) == url
    assert client.get_cover(str(item)) == url
    assert client.get_cover(f"ozon:{item}", "ozon") == url
    assert origin.request_count(item) == 1


def test_many_covers_are_returned_by_one_call(origin: Origin, server: Service) -> None:
    for number in range(100):
        origin.item(number, cover(number))
    covers = server.client().get_covers([*range(100), "100", "x"])
    assert covers["99"] == f"{origin.url}/multimedia/audio_cd_covers/99.jpg"
    assert covers["100"]["faultCode"] == 404
    assert covers["x"]["faultCode"] == -32602
    assert len(covers) == 102


def test_explain_cover_and_list_sources(origin: Origin, server: Service, item: int) -> None:
    page_url = origin.item(item, cover(7))
    client = server.client()
    record = client.explain_cover(item)
    assert (record["outcome"], record["cache"]) == ("found", "fetched")
    assert (record["page_url"], record["source"]) == (page_url, "ozon")
    assert client.explain_cover(item)["cache"] == "memory"
    assert [source["name"] for source in client.list_sources() if source["default"]] == ["ozon"]


BAD_IDS = [
    "", " 42", "42\n", "-1", -1, "4a", "1" * 20, "٤٢", "../42", True, 4.2, None, ["42"], {"id": 42},
    xmlrpc.client.Binary(b"42"), datetime(2026, 1, 1, tzinfo=UTC), "nosuch:42", "ozon:",
]  # fmt: skip


@pytest.fixture(scope="module")
def service_without_origin(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service for calls that cause no fetch: its origin does not exist."""
    with run_service(tmp_path_factory.mktemp("service"), CONFIG.format(origin="http://127.0.0.1:9")) as running:
        yield running


@pytest.mark.parametrize("content_id", BAD_IDS, ids=repr)
def test_a_bad_id_is_invalid_params(service_without_origin: Service, content_id: Any) -> None:
    assert fault(service_without_origin.client().get_cover, content_id).faultCode == -32602


@pytest.mark.parametrize(
    ("method", "arguments", "code"),
    [
        ("get_cover", (), -32602),
        ("get_cover", (1, "ozon", 3), -32602),
        ("get_cover", (1, "nosuch"), -32602),
        ("get_cover", (1, 2), -32602),
        ("get_covers", (1,), -32602),
        ("get_covers", (list(range(1001)),), -32602),
        ("explain_cover", ("x y",), -32602),
        ("list_sources", (1,), -32602),
        ("no_such_method", (), -32601),
        ("__class__.__init__", (), -32601),
    ],
)
def test_an_invalid_call_gets_a_fault(
    service_without_origin: Service, method: str, arguments: tuple[Any, ...], code: int
) -> None:
    assert fault(getattr(service_without_origin.client(), method), *arguments).faultCode == code


@pytest.mark.parametrize(
    ("behaviour", "code", "text"),
    [
        (page("", status="404 Not Found"), 404, "no such item"),
        (page("<p>nothing here"), 404, "no cover on the page"),
        (page("", status="403 Forbidden"), 403, "403 Forbidden"),
        (page("", status="500 Oops"), 502, "500 Oops"),
        (raw(), 502, "127.0.0.1"),
    ],
)
def test_a_failure_of_the_origin_gets_a_fault(
    origin: Origin, server: Service, behaviour: Behaviour, code: int, text: str, item: int
) -> None:
    origin.item(item, behaviour)
    raised = fault(server.client().get_cover, item)
    assert raised.faultCode == code
    assert text in raised.faultString


def test_a_failure_is_cached(origin: Origin, server: Service, item: int) -> None:
    origin.item(item, page("", status="403 Forbidden"))
    client = server.client()
    for _ in range(3):
        fault(client.get_cover, item)
    assert origin.request_count(item) == 1


def test_a_page_that_times_out_is_504(origin: Origin, tmp_path: Path, item: int) -> None:
    config = CONFIG.format(origin=origin.url) + "timeout = 0.3\n"
    origin.item(item, Barrier(cover()))
    with run_service(tmp_path, config) as server:
        assert fault(server.client().get_cover, item).faultCode == 504


def test_every_call_returns_within_the_deadline(origin: Origin, tmp_path: Path, item: int) -> None:
    """The fetch continues, and a later call gets its result."""
    origin.item(item, barrier := Barrier(cover()))
    with run_service(tmp_path, CONFIG.format(origin=origin.url), extra={"COVERS_DEADLINE": "0.5"}) as server:
        client = server.client()
        raised = fault(client.get_cover, item)
        expected = f"no answer within 0.5 seconds, still waiting for a response of 127.0.0.1:{origin.port}"
        assert (raised.faultCode, raised.faultString) == (504, expected)
        assert client.get_covers([item])[str(item)]["faultCode"] == 504
        barrier.go.set()
        assert client.get_cover(item).endswith(".jpg")
    assert origin.request_count(item) == 1


def test_slow_pages_are_fetched_concurrently_and_do_not_delay_hits(fresh_origin: Origin, tmp_path: Path) -> None:
    """One worker fetches 40 pages concurrently, which is the limit of their source."""
    config = "fetch_concurrency = 64\n" + CONFIG.format(origin=fresh_origin.url) + "concurrency = 40\n"
    fresh_origin.item(1, cover(1))
    barrier = Barrier(cover(2))
    for number in range(100, 150):
        fresh_origin.item(number, barrier)
    with run_service(tmp_path, config) as server:
        client = server.client()
        client.get_cover(1)
        slow = [gevent.spawn(server.client().get_cover, number) for number in range(100, 150)]
        while fresh_origin.in_progress < 40:
            gevent.sleep(0.01)
        durations = []
        for _ in range(50):
            started_at = time.perf_counter()
            client.get_cover(1)
            durations.append(time.perf_counter() - started_at)
        assert fresh_origin.in_progress == 40
        barrier.go.set()
        assert len({greenlet.get() for greenlet in slow}) == 1
    assert fresh_origin.max_in_progress == 40
    assert statistics.median(durations) < 0.05


def test_concurrent_calls_for_an_uncached_id_cause_one_fetch_per_worker(
    origin: Origin, tmp_path: Path, item: int
) -> None:
    origin.item(item, barrier := Barrier(cover(7)))
    with run_service(tmp_path, CONFIG.format(origin=origin.url), workers=2) as server:
        calls = [gevent.spawn(server.client().get_cover, item) for _ in range(200)]
        assert barrier.reached.wait(10)
        barrier.go.set()
        assert {call.get() for call in calls} == {f"{origin.url}/multimedia/audio_cd_covers/7.jpg"}
    assert 1 <= origin.request_count(item) <= 2


def test_a_client_that_disconnects_does_not_cancel_the_lookup(origin: Origin, server: Service, item: int) -> None:
    origin.item(item, barrier := Barrier(cover()))
    call = gevent.spawn(server.client().get_cover, item)
    assert barrier.reached.wait(10)
    call.kill()
    barrier.go.set()
    assert server.client().get_cover(item).endswith(".jpg")
    assert origin.request_count(item) == 1
