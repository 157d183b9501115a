"""The Robots Exclusion Protocol (RFC 9309)."""

from collections.abc import Callable

import gevent
import pytest
from gevent.event import Event

from app.domain.errors import (
    Blocked,
    LookupFailed,
    NoSuchItem,
    OriginDown,
    OriginFailed,
    Overloaded,
    Throttled,
    TooSlow,
)
from app.fetch.robots import RobotsFile, RobotsPolicy
from app.store.base import Store
from app.store.circuit_breaker import CircuitBreakingStore
from tests.store.dictionary import DictionaryStore
from tests.support.clock import ManualClock

PAGE = "https://shop.example/item/42"
DAY = 86_400

Fetch = Callable[[str], bytes]


def new_policy(
    clock: ManualClock | None = None, store: Store | None = None, user_agent: str = "covers/1.0"
) -> RobotsPolicy:
    clock = clock or ManualClock()
    breaker = CircuitBreakingStore[str](store or DictionaryStore(), encode=str.encode, decode=bytes.decode, clock=clock)
    return RobotsPolicy(user_agent=user_agent, shared=breaker.namespace("@robots:", RobotsFile), clock=clock)


class FakeOrigin:
    """A fake of an origin server's robots.txt: ``response`` is its content or an error; ``requests`` lists the URLs."""

    def __init__(self, response: str | bytes | Exception) -> None:
        self.response = response
        self.requests: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.requests.append(url)
        if isinstance(self.response, Exception):
            raise self.response
        return self.response.encode() if isinstance(self.response, str) else self.response


def is_allowed(policy: RobotsPolicy, origin: Fetch, url: str = PAGE) -> bool:
    try:
        policy.check(url, origin, 10)
    except Blocked:
        return False
    return True


DISALLOWS_ITEMS = "User-agent: *\nDisallow: /item/\n"

RULES: list[tuple[str, str, bool]] = [
    ("an empty file", "", True),
    ("everything disallowed", "User-agent: *\nDisallow: /\n", False),
    ("this path disallowed", DISALLOWS_ITEMS, False),
    ("another path disallowed", "User-agent: *\nDisallow: /account/\n", True),
    ("other crawlers only", "User-agent: badbot\nDisallow: /\n", True),
    ("only this crawler disallowed", "User-agent: covers\nDisallow: /\n\nUser-agent: *\nAllow: /\n", False),
    ("only this crawler allowed", "User-agent: covers\nAllow: /\n\nUser-agent: *\nDisallow: /\n", True),
    ("names and keys in any case", "USER-AGENT: Covers\nDISALLOW: /item\n", False),
    ("a group of several crawlers", "User-agent: a\nUser-agent: covers\nUser-agent: b\nDisallow: /\n", False),
    ("consecutive groups of other crawlers", "User-agent: a\nDisallow: /\nUser-agent: b\nAllow: /\n", True),
    ("the longest match counts", "User-agent: *\nDisallow: /\nAllow: /item/\n", True),
    ("wildcards", "User-agent: *\nDisallow: /*/4\n", False),
    ("an end-of-match pattern", "User-agent: *\nDisallow: /item/4$\n", True),
    ("comments", "# hello\nUser-agent: * # all\nDisallow: /item/ # these\n", False),
    ("a byte order mark", "\ufeffUser-agent: *\nDisallow: /\n", False),
    ("CRLF line endings", "User-agent: *\r\nDisallow: /\r\n", False),
    ("a crawler name that starts with ours", "User-agent: coversation\nDisallow: /\n", True),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in RULES], ids=[case[0] for case in RULES])
def test_rules_are_applied(text: str, *, expected: bool) -> None:
    assert is_allowed(new_policy(), FakeOrigin(text)) is expected


def test_the_file_is_fetched_from_the_root_of_the_origin() -> None:
    origin = FakeOrigin("")
    new_policy().check("https://Shop.Example:8443/a/b?c=d", origin, 10)
    assert origin.requests == ["https://shop.example:8443/robots.txt"]


def test_each_product_name_in_the_user_agent_matches() -> None:
    agent = "Mozilla/5.0 (compatible; ShopBot/2.1; +https://example.org/bot)"
    assert not is_allowed(new_policy(user_agent=agent), FakeOrigin("User-agent: shopbot\nDisallow: /\n"))


@pytest.mark.parametrize(
    "error",
    [
        NoSuchItem("404", status=404),
        NoSuchItem("410", status=410),
        Blocked("401", status=401),
        Blocked("403", status=403),
        OriginFailed("400", status=400),
        OriginFailed("redirects more than 5 times", status=302),
    ],
)
def test_without_a_file_everything_is_allowed(error: LookupFailed) -> None:
    assert is_allowed(new_policy(), FakeOrigin(error))


@pytest.mark.parametrize(
    "error", [OriginDown("500", status=500), OriginDown("no connection"), TooSlow("slow"), OriginFailed("garbage")]
)
def test_if_the_file_cannot_be_fetched_nothing_is_allowed(error: LookupFailed) -> None:
    with pytest.raises(OriginFailed, match=f"cannot be fetched, so no page is fetched: {error}"):
        is_allowed(new_policy(), FakeOrigin(error))


@pytest.mark.parametrize("error", [Throttled("429", 4, status=429), Overloaded("too many")])
def test_errors_unrelated_to_the_file_are_raised_and_not_cached(error: Exception) -> None:
    policy = new_policy()
    with pytest.raises(type(error), match=str(error)):
        is_allowed(policy, FakeOrigin(error))
    assert is_allowed(policy, FakeOrigin(""))


def test_a_failed_fetch_is_cached_for_error_ttl() -> None:
    clock, origin = ManualClock(), FakeOrigin(OriginDown("no connection"))
    policy = new_policy(clock)
    for _ in range(3):
        with pytest.raises(OriginFailed):
            is_allowed(policy, origin)
    clock.now += 10
    origin.response = ""
    assert is_allowed(policy, origin)
    assert len(origin.requests) == 2


def test_the_file_is_cached_for_a_day() -> None:
    clock, origin = ManualClock(), FakeOrigin(DISALLOWS_ITEMS)
    policy = new_policy(clock)
    assert not is_allowed(policy, origin)
    clock.now += DAY - 1
    origin.response = ""
    assert not is_allowed(policy, origin)
    clock.now += 1
    assert is_allowed(policy, origin)
    assert len(origin.requests) == 2


def test_the_old_file_is_used_while_fetching_a_new_one_fails() -> None:
    """For a week (RFC 9309, 2.4)."""
    clock, origin = ManualClock(), FakeOrigin(DISALLOWS_ITEMS)
    policy = new_policy(clock)
    assert not is_allowed(policy, origin)
    origin.response = OriginDown("no connection")
    clock.now += 8 * DAY - 1
    assert not is_allowed(policy, origin)
    clock.now += 11
    with pytest.raises(OriginFailed, match="cannot be fetched"):
        is_allowed(policy, origin)


def test_a_policy_knows_whether_it_has_the_rules_of_an_origin() -> None:
    """Then a check does not wait. An old file has to be fetched again."""
    clock = ManualClock()
    policy = new_policy(clock)
    assert not policy.has_rules(PAGE)
    policy.check(PAGE, FakeOrigin(""), 10)
    assert policy.has_rules(PAGE)
    assert not policy.has_rules("http://shop.example/item/42")
    clock.now += DAY
    assert not policy.has_rules(PAGE)


def test_workers_share_the_file() -> None:
    clock, store, origin = ManualClock(), DictionaryStore(), FakeOrigin(DISALLOWS_ITEMS)
    assert [is_allowed(new_policy(clock, store), origin) for _ in range(4)] == [False] * 4
    assert len(origin.requests) == 1


def test_concurrent_callers_fetch_the_file_once() -> None:
    may_respond, requests = Event(), list[str]()

    def origin(url: str) -> bytes:
        requests.append(url)
        may_respond.wait()
        return b""

    policy = new_policy()
    callers = [gevent.spawn(is_allowed, policy, origin) for _ in range(20)]
    gevent.sleep(0)
    may_respond.set()
    assert all(caller.get() for caller in callers)
    assert len(requests) == 1


def test_each_origin_has_its_own_file() -> None:
    origin = FakeOrigin("")
    policy = new_policy()
    for url in ("http://a.example/x", "https://a.example/x", "https://a.example:444/x"):
        policy.check(url, origin, 10)
    assert len(origin.requests) == 3


HOSTILE = {
    "many names and many rules": "".join(f"User-agent: {n}\n" for n in range(16_000))
    + "".join(f"Disallow: /{n}\n" for n in range(16_000)),
    "the same, with other line separators": "".join(f"user  agent {n}\x0b" for n in range(16_000))
    + "".join(f"Disallow: /{n}\x85" for n in range(16_000)),
    "one long rule": "User-agent: *\nDisallow: /" + "*a" * 250_000,
    "many rules with wildcards": "User-agent: *\n" + "Disallow: /*a*b*c$\n" * 25_000,
    "end-of-match patterns": "User-agent: *\n" + "Disallow: /a$$$$$$\n" * 25_000,
    "no line breaks": "a" * 500_000,
    "binary data": "\x00\xff" * 250_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_parsed_in_a_thread_within_seconds(text: str) -> None:
    """Other greenlets run meanwhile. Protego alone would take minutes and gigabytes for the first file."""
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            gevent.sleep(0)
            turns += 1

    counting = gevent.spawn(count)
    with gevent.Timeout(10):
        assert is_allowed(new_policy(), FakeOrigin(text[: 512 * 1024]))
    counting.kill()
    assert turns > 5


def test_the_error_names_the_file_that_disallows_the_page() -> None:
    with pytest.raises(Blocked, match=r"^https://shop\.example/robots\.txt does not allow this page$"):
        new_policy().check(PAGE, FakeOrigin(DISALLOWS_ITEMS), 10)
