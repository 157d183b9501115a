"""robots.txt, by RFC 9309."""

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


def worker(
    clock: ManualClock | None = None, store: Store | None = None, user_agent: str = "covers/1.0"
) -> RobotsPolicy:
    clock = clock or ManualClock()
    guard = CircuitBreakingStore[str](store or DictionaryStore(), encode=str.encode, decode=bytes.decode, clock=clock)
    return RobotsPolicy(user_agent=user_agent, shared=guard.namespace("@robots:", RobotsFile), clock=clock)


class Site:
    """A host whose robots.txt the test writes; ``asked`` are the URLs that it was asked for."""

    def __init__(self, answer: str | bytes | Exception) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer.encode() if isinstance(self.answer, str) else self.answer


def is_allowed(robots: RobotsPolicy, site: Fetch, url: str = PAGE) -> bool:
    try:
        robots.check(url, site, 10)
    except Blocked:
        return False
    return True


FORBIDS = "User-agent: *\nDisallow: /item/\n"

RULES: list[tuple[str, str, bool]] = [
    ("nothing", "", True),
    ("all of it", "User-agent: *\nDisallow: /\n", False),
    ("this part", FORBIDS, False),
    ("another part", "User-agent: *\nDisallow: /account/\n", True),
    ("others alone", "User-agent: badbot\nDisallow: /\n", True),
    ("us alone", "User-agent: covers\nDisallow: /\n\nUser-agent: *\nAllow: /\n", False),
    ("all but us", "User-agent: covers\nAllow: /\n\nUser-agent: *\nDisallow: /\n", True),
    ("us, in any case", "USER-AGENT: Covers\nDISALLOW: /item\n", False),
    ("us among others", "User-agent: a\nUser-agent: covers\nUser-agent: b\nDisallow: /\n", False),
    ("others, whose group ends where the next begins", "User-agent: a\nDisallow: /\nUser-agent: b\nAllow: /\n", True),
    ("the longest rule counts", "User-agent: *\nDisallow: /\nAllow: /item/\n", True),
    ("wildcards", "User-agent: *\nDisallow: /*/4\n", False),
    ("an end", "User-agent: *\nDisallow: /item/4$\n", True),
    ("comments", "# hello\nUser-agent: * # all\nDisallow: /item/ # these\n", False),
    ("a byte order mark", "\ufeffUser-agent: *\nDisallow: /\n", False),
    ("other line ends", "User-agent: *\r\nDisallow: /\r\n", False),
    ("a name that only contains ours", "User-agent: coversation\nDisallow: /\n", True),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in RULES], ids=[case[0] for case in RULES])
def test_rules_are_honoured(text: str, *, expected: bool) -> None:
    assert is_allowed(worker(), Site(text)) is expected


def test_it_is_asked_for_at_the_root_of_the_pages_host() -> None:
    site = Site("")
    worker().check("https://Shop.Example:8443/a/b?c=d", site, 10)
    assert site.asked == ["https://shop.example:8443/robots.txt"]


def test_a_name_inside_the_user_agent_is_ours_too() -> None:
    agent = "Mozilla/5.0 (compatible; ShopBot/2.1; +https://example.org/bot)"
    assert not is_allowed(worker(user_agent=agent), Site("User-agent: shopbot\nDisallow: /\n"))


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
def test_where_there_is_none_all_is_allowed(error: LookupFailed) -> None:
    assert is_allowed(worker(), Site(error))


@pytest.mark.parametrize(
    "error", [OriginDown("500", status=500), OriginDown("no connection"), TooSlow("slow"), OriginFailed("garbage")]
)
def test_where_it_cannot_be_had_nothing_is_allowed(error: LookupFailed) -> None:
    with pytest.raises(OriginFailed, match=f"cannot be fetched, so no page may be: {error}"):
        is_allowed(worker(), Site(error))


@pytest.mark.parametrize("error", [Throttled("429", 4, status=429), Overloaded("too many")])
def test_what_says_nothing_of_it_goes_on_to_the_caller(error: Exception) -> None:
    robots = worker()
    with pytest.raises(type(error), match=str(error)):
        is_allowed(robots, Site(error))
    assert is_allowed(robots, Site(""))


def test_that_it_cannot_be_had_is_remembered_for_error_ttl() -> None:
    clock, site = ManualClock(), Site(OriginDown("no connection"))
    robots = worker(clock)
    for _ in range(3):
        with pytest.raises(OriginFailed):
            is_allowed(robots, site)
    clock.now += 10
    site.answer = ""
    assert is_allowed(robots, site)
    assert len(site.asked) == 2


def test_it_is_kept_for_a_day() -> None:
    clock, site = ManualClock(), Site(FORBIDS)
    robots = worker(clock)
    assert not is_allowed(robots, site)
    clock.now += DAY - 1
    site.answer = ""
    assert not is_allowed(robots, site)
    clock.now += 1
    assert is_allowed(robots, site)
    assert len(site.asked) == 2


def test_the_old_one_is_used_while_it_cannot_be_had() -> None:
    """For a week; RFC 9309, 2.4."""
    clock, site = ManualClock(), Site(FORBIDS)
    robots = worker(clock)
    assert not is_allowed(robots, site)
    site.answer = OriginDown("no connection")
    clock.now += 8 * DAY - 1
    assert not is_allowed(robots, site)
    clock.now += 11
    with pytest.raises(OriginFailed, match="cannot be fetched"):
        is_allowed(robots, site)


def test_workers_share_it() -> None:
    clock, store, site = ManualClock(), DictionaryStore(), Site(FORBIDS)
    assert [is_allowed(worker(clock, store), site) for _ in range(4)] == [False] * 4
    assert len(site.asked) == 1


def test_callers_together_ask_for_it_once() -> None:
    go, asked = Event(), list[str]()

    def site(url: str) -> bytes:
        asked.append(url)
        go.wait()
        return b""

    robots = worker()
    callers = [gevent.spawn(is_allowed, robots, site) for _ in range(20)]
    gevent.sleep(0)
    go.set()
    assert all(caller.get() for caller in callers)
    assert len(asked) == 1


def test_schemes_and_ports_are_hosts_of_their_own() -> None:
    site = Site("")
    robots = worker()
    for url in ("http://a.example/x", "https://a.example/x", "https://a.example:444/x"):
        robots.check(url, site, 10)
    assert len(site.asked) == 3


HOSTILE = {
    "many names and many rules": "".join(f"User-agent: {n}\n" for n in range(16_000))
    + "".join(f"Disallow: /{n}\n" for n in range(16_000)),
    "the same, with other line ends": "".join(f"user  agent {n}\x0b" for n in range(16_000))
    + "".join(f"Disallow: /{n}\x85" for n in range(16_000)),
    "one long rule": "User-agent: *\nDisallow: /" + "*a" * 250_000,
    "many rules with wildcards": "User-agent: *\n" + "Disallow: /*a*b*c$\n" * 25_000,
    "ends": "User-agent: *\n" + "Disallow: /a$$$$$$\n" * 25_000,
    "no lines": "a" * 500_000,
    "no text": "\x00\xff" * 250_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_takes_no_more_than_seconds_of_a_thread(text: str) -> None:
    """Others run meanwhile, and it is read once. Protego by itself takes minutes and gigabytes for the first."""
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            gevent.sleep(0)
            turns += 1

    counting = gevent.spawn(count)
    with gevent.Timeout(10):
        assert is_allowed(worker(), Site(text[: 512 * 1024]))
    counting.kill()
    assert turns > 5


def test_what_is_forbidden_is_told_with_its_reason() -> None:
    with pytest.raises(Blocked, match=r"^https://shop\.example/robots\.txt does not allow this page$"):
        worker().check(PAGE, Site(FORBIDS), 10)
