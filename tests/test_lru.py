"""The bounded mapping with expiry."""

from app.cache.lru import LRU
from tests.clock import Clock


def test_a_value_is_there_until_its_lifetime_ends() -> None:
    clock = Clock()
    lru = LRU[str, int](10, clock=clock)
    lru.put("a", 1, lifetime=5)
    clock.now += 4.9
    assert lru.get("a") == 1
    clock.now += 0.1
    assert lru.get("a") is None
    assert len(lru) == 0


def test_each_value_has_its_own_lifetime() -> None:
    clock = Clock()
    lru = LRU[str, int](10, clock=clock)
    lru.put("short", 1, lifetime=1)
    lru.put("long", 2, lifetime=100)
    clock.now += 50
    assert (lru.get("short"), lru.get("long")) == (None, 2)


def test_the_least_recently_used_goes_first() -> None:
    lru = LRU[int, int](2, clock=Clock())
    lru.put(1, 1, lifetime=9)
    lru.put(2, 2, lifetime=9)
    lru.get(1)
    lru.put(3, 3, lifetime=9)
    assert [lru.get(key) for key in (1, 2, 3)] == [1, None, 3]


def test_it_never_holds_more_than_its_size() -> None:
    lru = LRU[int, int](100, clock=Clock())
    for number in range(10_000):
        lru.put(number, number, lifetime=9)
    assert len(lru) == 100


def test_a_new_value_replaces_the_old_one_with_its_lifetime() -> None:
    clock = Clock()
    lru = LRU[str, int](10, clock=clock)
    lru.put("a", 1, lifetime=1)
    lru.put("a", 2, lifetime=100)
    clock.now += 50
    assert lru.get("a") == 2


def test_a_value_without_a_lifetime_is_not_kept_and_nothing_older_either() -> None:
    lru = LRU[str, int](10, clock=Clock())
    lru.put("a", 1, lifetime=9)
    lru.put("a", 2, lifetime=0)
    assert lru.get("a") is None


def test_forgetting_tells_whether_it_was_known() -> None:
    lru = LRU[str, int](10, clock=Clock())
    lru.put("a", 1, lifetime=9)
    assert lru.forget("a")
    assert not lru.forget("a")
    assert lru.get("a") is None
