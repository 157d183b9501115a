"""Calls as clients make them."""

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
    """One origin for the module: each test has items of its own."""
    with Origin().serving() as served:
        yield served


@pytest.fixture
def fresh_origin() -> Iterator[Origin]:
    """An origin that nobody else asks."""
    with Origin().serving() as served:
        yield served


@pytest.fixture(scope="module")
def server(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the module, with one worker."""
    with run_service(tmp_path_factory.mktemp("server"), CONFIG.format(origin=origin.url)) as running:
        yield running


@pytest.fixture
def item() -> int:
    """An id that no other test has."""
    return next(IDS)


def fault(call: Any, *arguments: Any) -> xmlrpc.client.Fault:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        call(*arguments)
    return caught.value


def test_a_cover_comes_back_and_is_remembered(origin: Origin, server: Service, item: int) -> None:
    origin.item(item, cover(7))
    client = server.client()
    url = f"{origin.url}/multimedia/audio_cd_covers/7.jpg"
    assert client.get_cover(item) == url
    assert client.get_cover(str(item)) == url
    assert client.get_cover(f"ozon:{item}", "ozon") == url
    assert origin.asked_for(item) == 1


def test_many_covers_come_back_at_once(origin: Origin, server: Service) -> None:
    for number in range(100):
        origin.item(number, cover(number))
    answers = server.client().get_covers([*range(100), "100", "x"])
    assert answers["99"] == f"{origin.url}/multimedia/audio_cd_covers/99.jpg"
    assert answers["100"]["faultCode"] == 404
    assert answers["x"]["faultCode"] == -32602
    assert len(answers) == 102


def test_explain_and_list_tell_what_is_known(origin: Origin, server: Service, item: int) -> None:
    page_url = origin.item(item, cover(7))
    client = server.client()
    told = client.explain_cover(item)
    assert (told["outcome"], told["cache"], told["page_url"], told["source"]) == ("found", "fetched", page_url, "ozon")
    assert client.explain_cover(item)["cache"] == "memory"
    assert [source["name"] for source in client.list_sources() if source["default"]] == ["ozon"]


BAD_IDS = [
    "", " 42", "42\n", "-1", -1, "4a", "1" * 20, "٤٢", "../42", True, 4.2, None, ["42"], {"id": 42},
    xmlrpc.client.Binary(b"42"), datetime(2026, 1, 1, tzinfo=UTC), "nosuch:42", "ozon:",
]  # fmt: skip


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service whose origin nobody asks."""
    with run_service(tmp_path_factory.mktemp("quiet"), CONFIG.format(origin="http://127.0.0.1:9")) as running:
        yield running


@pytest.mark.parametrize("content_id", BAD_IDS, ids=repr)
def test_a_bad_id_is_invalid_params(quiet: Service, content_id: Any) -> None:
    assert fault(quiet.client().get_cover, content_id).faultCode == -32602


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
def test_a_wrong_call_has_its_fault(quiet: Service, method: str, arguments: tuple[Any, ...], code: int) -> None:
    assert fault(getattr(quiet.client(), method), *arguments).faultCode == code


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
def test_what_the_origin_does_has_its_fault(
    origin: Origin, server: Service, behaviour: Behaviour, code: int, text: str, item: int
) -> None:
    origin.item(item, behaviour)
    told = fault(server.client().get_cover, item)
    assert told.faultCode == code
    assert text in told.faultString


def test_a_failure_is_remembered_for_a_while(origin: Origin, server: Service, item: int) -> None:
    origin.item(item, page("", status="403 Forbidden"))
    client = server.client()
    for _ in range(3):
        fault(client.get_cover, item)
    assert origin.asked_for(item) == 1


def test_a_page_that_never_comes_is_too_slow(origin: Origin, tmp_path: Path, item: int) -> None:
    config = CONFIG.format(origin=origin.url) + "timeout = 0.3\n"
    origin.item(item, Barrier(cover()))
    with run_service(tmp_path, config) as server:
        assert fault(server.client().get_cover, item).faultCode == 504


def test_every_call_is_answered_within_the_deadline(origin: Origin, tmp_path: Path, item: int) -> None:
    """Though its page may take longer; who comes later gets what came of it."""
    origin.item(item, hold := Barrier(cover()))
    with run_service(tmp_path, CONFIG.format(origin=origin.url), extra={"COVERS_DEADLINE": "0.5"}) as server:
        client = server.client()
        told = fault(client.get_cover, item)
        text = f"no answer within 0.5 seconds, still waiting for a response of 127.0.0.1:{origin.port}"
        assert (told.faultCode, told.faultString) == (504, text)
        assert client.get_covers([item])[str(item)]["faultCode"] == 504
        hold.go.set()
        assert client.get_cover(item).endswith(".jpg")
    assert origin.asked_for(item) == 1


def test_slow_pages_are_fetched_together_and_hits_do_not_wait_for_them(fresh_origin: Origin, tmp_path: Path) -> None:
    """Forty pages are under way at once in one worker, and not one more than their source allows."""
    config = "fetch_concurrency = 64\n" + CONFIG.format(origin=fresh_origin.url) + "concurrency = 40\n"
    fresh_origin.item(1, cover(1))
    hold = Barrier(cover(2))
    for number in range(100, 150):
        fresh_origin.item(number, hold)
    with run_service(tmp_path, config) as server:
        client = server.client()
        client.get_cover(1)
        slow = [gevent.spawn(server.client().get_cover, number) for number in range(100, 150)]
        while fresh_origin.under_way < 40:
            gevent.sleep(0.01)
        times = []
        for _ in range(50):
            begun = time.perf_counter()
            client.get_cover(1)
            times.append(time.perf_counter() - begun)
        assert fresh_origin.under_way == 40
        hold.go.set()
        assert len({greenlet.get() for greenlet in slow}) == 1
    assert fresh_origin.most_under_way == 40
    assert statistics.median(times) < 0.05


def test_callers_of_one_unknown_id_cause_one_fetch_per_worker(origin: Origin, tmp_path: Path, item: int) -> None:
    origin.item(item, hold := Barrier(cover(7)))
    with run_service(tmp_path, CONFIG.format(origin=origin.url), workers=2) as server:
        callers = [gevent.spawn(server.client().get_cover, item) for _ in range(200)]
        assert hold.asked.wait(10)
        hold.go.set()
        assert {caller.get() for caller in callers} == {f"{origin.url}/multimedia/audio_cd_covers/7.jpg"}
    assert 1 <= origin.asked_for(item) <= 2


def test_a_caller_that_leaves_does_not_end_the_lookup(origin: Origin, server: Service, item: int) -> None:
    origin.item(item, hold := Barrier(cover()))
    leaving = gevent.spawn(server.client().get_cover, item)
    assert hold.asked.wait(10)
    leaving.kill()
    hold.go.set()
    assert server.client().get_cover(item).endswith(".jpg")
    assert origin.asked_for(item) == 1
