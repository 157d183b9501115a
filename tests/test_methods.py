"""Tests of the published methods, with scripted pages."""

import logging
import re
from typing import Any

import pytest
from gevent.event import Event

from app.domain.errors import Blocked, InvalidParams, NoCover, NoSuchItem, NotAllowed, TooSlow
from app.methods import Methods, map_service_error
from app.rpc.cacheable_result import CacheableResult
from app.rpc.faults import INTERNAL_ERROR, Fault
from tests.support.lookup_harness import LookupHarness, failing, picture

URL = "https://shop.example/42.jpg"


def fault_of(error: Exception) -> Fault:
    return map_service_error(error) or Fault(INTERNAL_ERROR, "internal error")


def url_of(result: str | CacheableResult[str]) -> str:
    return result.value if isinstance(result, CacheableResult) else result


def methods(harness: LookupHarness, token: str | None = None) -> Methods:
    return Methods(
        lookup=harness.lookup(),
        sources=harness.sources,
        max_calls=5,
        admin_token=token,
        to_fault=fault_of,
        clock=harness.clock,
    )


def test_get_cover_accepts_an_int_a_string_and_a_prefixed_id() -> None:
    harness = LookupHarness({"42": picture("/42.jpg")})
    service = methods(harness)
    assert [url_of(service.get_cover(content_id)) for content_id in (42, "42", "shop:42")] == [URL] * 3
    assert harness.fetched_ids == ["42"]


def test_get_cover_from_memory_is_cacheable_until_it_is_stale() -> None:
    """So the response to an identical request can be reused."""
    harness = LookupHarness({"42": picture("/42.jpg")})
    service = methods(harness, token="s")
    service.get_cover(42)
    results = [service.get_cover(42) for _ in range(2)]
    assert all(isinstance(result, CacheableResult) and result.is_valid() for result in results)
    harness.pass_time(100)
    assert not any(isinstance(result, CacheableResult) and result.is_valid() for result in results)


@pytest.mark.parametrize("change", ["forgotten", "stale"])
def test_a_result_becomes_invalid_when_the_record_changes(change: str) -> None:
    harness = LookupHarness({"42": picture("/42.jpg")})
    service = methods(harness, token="s")
    service.get_cover(42)
    result = service.get_cover(42)
    if change == "forgotten":
        service.forget_cover(42, "shop", "s")
    else:
        harness.pass_time(110)
    assert isinstance(result, CacheableResult)
    assert not result.is_valid()
    assert service.get_cover(42) == URL


def test_get_cover_of_a_missing_item_raises_no_cover() -> None:
    harness = LookupHarness({"42": failing(NoSuchItem("no such item: shop.example answered 404"))})
    with pytest.raises(NoCover, match="no such item"):
        methods(harness).get_cover(42)


def test_get_covers_returns_a_url_or_a_fault_for_each_id() -> None:
    harness = LookupHarness(
        {"1": picture("/1.jpg"), "2": failing(Blocked("blocked")), "3": failing(ZeroDivisionError())}
    )
    results = methods(harness).get_covers([1, "2", 3, "other:1", "a b"])
    assert results["1"] == results["other:1"] == "https://shop.example/1.jpg"
    assert results["2"] == {"faultCode": 403, "faultString": "blocked"}
    assert results["3"]["faultCode"] == INTERNAL_ERROR
    assert re.fullmatch(r"internal error, reference \w{8}", results["3"]["faultString"])
    assert results["a b"]["faultCode"] == -32602
    assert list(results) == ["1", "2", "3", "other:1", "a b"]


def test_get_covers_looks_up_concurrently() -> None:
    """Each fetch waits until all five have started."""
    all_started, started = Event(), []

    def fetch() -> bytes:
        started.append(1)
        if len(started) == 5:
            all_started.set()
        assert all_started.wait(5)
        return b'<img src="/x.jpg">'

    results = methods(LookupHarness({str(number): fetch for number in range(5)})).get_covers(list(range(5)))
    assert set(results.values()) == {"https://shop.example/x.jpg"}


def test_get_covers_looks_up_a_repeated_id_once() -> None:
    """Whether it is cached or not. The metrics count one lookup as well."""
    harness = LookupHarness({"42": picture("/42.jpg")})
    service = methods(harness)
    for _ in range(2):
        assert service.get_covers([42, "42"]) == {"42": URL}
    assert harness.fetched_ids == ["42"]
    assert [cache for *_, cache in harness.observer.arguments_of("lookup_finished")] == ["fetched", "memory"]
    assert harness.observer.arguments_of("flight_joined") == []


def test_get_covers_of_an_empty_array_is_empty() -> None:
    assert methods(LookupHarness()).get_covers([]) == {}


@pytest.mark.parametrize(
    "arguments",
    [("42",), (42,), ({"a": 1},), ([None],), ([[42]],), ([True],), ([4.2],), ([1] * 6,), ([1], "nosuch"), ([1], 5)],
    ids=repr,
)
def test_get_covers_with_an_invalid_parameter_looks_up_nothing(arguments: Any) -> None:
    harness = LookupHarness()
    with pytest.raises(InvalidParams):
        methods(harness).get_covers(*arguments)
    assert harness.fetched_ids == []


def test_explain_cover_describes_the_record() -> None:
    harness = LookupHarness({"42": picture("/42.jpg")})
    service = methods(harness)
    record = service.explain_cover("42")
    assert record == {
        "outcome": "found",
        "url": URL,
        "source": "shop",
        "page_url": "https://shop.example/item/42",
        "final_url": "https://shop.example/item/42",
        "status": 200,
        "rule": 'regex src="([^"]+)"',
        "misses": [],
        "fetched_at": "2023-11-14T22:13:20Z",
        "fresh_until": "2023-11-14T22:15:00Z",
        "cache": "fetched",
        "error": "",
    }
    assert service.explain_cover(42) == record | {"cache": "memory"}


def test_explain_cover_of_a_failure_returns_the_record() -> None:
    harness = LookupHarness({"42": failing(TooSlow("shop.example took longer than 5 seconds"))})
    record = methods(harness).explain_cover(42)
    assert (record["outcome"], record["url"]) == ("too_slow", "")
    assert record["error"] == "shop.example took longer than 5 seconds"


def test_list_sources_returns_name_page_pattern_and_default() -> None:
    sources = methods(LookupHarness()).list_sources()
    assert sources[0] == {
        "name": "shop",
        "page_url": "https://shop.example/item/{id}",
        "id_pattern": "[A-Za-z0-9._-]{1,64}",
        "default": True,
    }
    assert [source["default"] for source in sources] == [True, False]


def test_forget_cover_deletes_the_record_and_returns_whether_there_was_one() -> None:
    harness = LookupHarness({"42": picture("/42.jpg")})
    service = methods(harness, token="secret")
    service.get_cover(42)
    assert service.forget_cover("shop:42", "", "secret")
    assert not service.forget_cover(42, "shop", "secret")
    service.get_cover(42)
    assert harness.fetched_ids == ["42", "42"]


def test_forget_cover_is_logged_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    service = methods(LookupHarness({"42": picture("/42.jpg")}), token="secret")
    with caplog.at_level(logging.INFO):
        service.forget_cover(42, "shop", "secret")
    (record,) = caplog.records
    assert record.message == "shop:42 is forgotten"
    assert (record.__dict__["id"], record.__dict__["was_known"]) == ("42", False)
    assert "secret" not in str(record.__dict__)


@pytest.mark.parametrize(
    ("token", "given"), [(None, ""), (None, "x"), ("secret", ""), ("secret", "Secret"), ("s", "é")]
)
def test_forget_cover_requires_the_token(token: str | None, given: str) -> None:
    """The token is checked before the id, so a caller without it learns nothing about ids."""
    harness = LookupHarness({"42": picture("/42.jpg")})
    service = methods(harness, token=token)
    service.get_cover(42)
    for content_id in ("42", "no id"):
        with pytest.raises(NotAllowed):
            service.forget_cover(content_id, "shop", given)
    assert service.explain_cover(42)["cache"] == "memory"
