"""What is published: by the contract, on a scripted origin."""

import logging
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


def url_of(answer: str | CacheableResult[str]) -> str:
    return answer.value if isinstance(answer, CacheableResult) else answer


def methods(story: LookupHarness, token: str | None = None) -> Methods:
    return Methods(
        lookup=story.lookup(),
        sources=story.sources,
        max_calls=5,
        admin_token=token,
        to_fault=fault_of,
        clock=story.clock,
    )


def test_get_cover_answers_with_the_url_for_an_int_and_its_digits() -> None:
    story = LookupHarness({"42": picture("/42.jpg")})
    service = methods(story)
    assert [url_of(service.get_cover(content_id)) for content_id in (42, "42", "shop:42")] == [URL] * 3
    assert story.asked == ["42"]


def test_get_cover_from_memory_holds_until_something_else_is_known() -> None:
    """So the same request need not be read again."""
    story = LookupHarness({"42": picture("/42.jpg")})
    service = methods(story, token="s")
    service.get_cover(42)
    held = [service.get_cover(42) for _ in range(2)]
    assert all(isinstance(answer, CacheableResult) and answer.is_valid() for answer in held)
    story.pass_time(100)
    assert not any(isinstance(answer, CacheableResult) and answer.is_valid() for answer in held)


@pytest.mark.parametrize("change", ["forgotten", "stale"])
def test_what_is_not_fresh_in_memory_does_not_last(change: str) -> None:
    story = LookupHarness({"42": picture("/42.jpg")})
    service = methods(story, token="s")
    service.get_cover(42)
    held = service.get_cover(42)
    if change == "forgotten":
        service.forget_cover(42, "shop", "s")
    else:
        story.pass_time(110)
    assert isinstance(held, CacheableResult)
    assert not held.is_valid()
    assert service.get_cover(42) == URL


def test_get_cover_of_a_missing_item_is_a_404_that_says_so() -> None:
    story = LookupHarness({"42": failing(NoSuchItem("no such item: shop.example answered 404"))})
    with pytest.raises(NoCover, match="no such item"):
        methods(story).get_cover(42)


def test_get_covers_answers_each_id_with_its_url_or_its_fault() -> None:
    story = LookupHarness({"1": picture("/1.jpg"), "2": failing(Blocked("blocked")), "3": failing(ZeroDivisionError())})
    answers = methods(story).get_covers([1, "2", 3, "other:1", "a b"])
    assert answers["1"] == answers["other:1"] == "https://shop.example/1.jpg"
    assert answers["2"] == {"faultCode": 403, "faultString": "blocked"}
    assert answers["3"] == {"faultCode": INTERNAL_ERROR, "faultString": "internal error"}
    assert answers["a b"]["faultCode"] == -32602
    assert list(answers) == ["1", "2", "3", "other:1", "a b"]


def test_get_covers_looks_up_concurrently() -> None:
    """Each page waits for the last one to be asked for."""
    all_asked, asked = Event(), []

    def held() -> bytes:
        asked.append(1)
        if len(asked) == 5:
            all_asked.set()
        assert all_asked.wait(5)
        return b'<img src="/x.jpg">'

    answers = methods(LookupHarness({str(number): held for number in range(5)})).get_covers(list(range(5)))
    assert set(answers.values()) == {"https://shop.example/x.jpg"}


def test_get_covers_of_one_id_twice_is_one() -> None:
    """Whether it is known or not, and no less for those who count."""
    story = LookupHarness({"42": picture("/42.jpg")})
    service = methods(story)
    for _ in range(2):
        assert service.get_covers([42, "42"]) == {"42": URL}
    assert story.asked == ["42"]
    assert [cache for *_, cache in story.observer.arguments_of("lookup_finished")] == ["fetched", "memory"]
    assert story.observer.arguments_of("flight_joined") == []


def test_get_covers_of_nothing_is_nothing() -> None:
    assert methods(LookupHarness()).get_covers([]) == {}


@pytest.mark.parametrize(
    "arguments",
    [("42",), (42,), ({"a": 1},), ([None],), ([[42]],), ([True],), ([4.2],), ([1] * 6,), ([1], "nosuch"), ([1], 5)],
    ids=repr,
)
def test_get_covers_of_what_cannot_be_is_refused_whole(arguments: Any) -> None:
    story = LookupHarness()
    with pytest.raises(InvalidParams):
        methods(story).get_covers(*arguments)
    assert story.asked == []


def test_explain_cover_tells_why() -> None:
    story = LookupHarness({"42": picture("/42.jpg")})
    service = methods(story)
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


def test_explain_cover_of_what_failed_is_an_answer_too() -> None:
    story = LookupHarness({"42": failing(TooSlow("shop.example took longer than 5 seconds"))})
    record = methods(story).explain_cover(42)
    assert (record["outcome"], record["url"]) == ("too_slow", "")
    assert record["error"] == "shop.example took longer than 5 seconds"


def test_list_sources_tells_name_page_pattern_and_default() -> None:
    sources = methods(LookupHarness()).list_sources()
    assert sources[0] == {
        "name": "shop",
        "page_url": "https://shop.example/item/{id}",
        "id_pattern": "[A-Za-z0-9._-]{1,64}",
        "default": True,
    }
    assert [source["default"] for source in sources] == [True, False]


def test_forget_cover_drops_what_is_known_and_tells_whether_it_was() -> None:
    story = LookupHarness({"42": picture("/42.jpg")})
    service = methods(story, token="secret")
    service.get_cover(42)
    assert service.forget_cover("shop:42", "", "secret")
    assert not service.forget_cover(42, "shop", "secret")
    service.get_cover(42)
    assert story.asked == ["42", "42"]


def test_what_is_forgotten_is_logged_and_the_token_is_not(caplog: pytest.LogCaptureFixture) -> None:
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
def test_forget_cover_is_closed_without_the_token(token: str | None, given: str) -> None:
    """Whatever it is asked to forget: who has no token learns nothing of the ids either."""
    story = LookupHarness({"42": picture("/42.jpg")})
    service = methods(story, token=token)
    service.get_cover(42)
    for content_id in ("42", "no id"):
        with pytest.raises(NotAllowed):
            service.forget_cover(content_id, "shop", given)
    assert service.explain_cover(42)["cache"] == "memory"
