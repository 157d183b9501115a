"""Tests of the in-process LRU cache."""

from app.store.lru import LruCache


def new_cache(size: int = 100) -> LruCache[str]:
    """Return a cache of strings, in which those with a capital letter are positive entries."""
    return LruCache(size, encode=str.encode, decode=bytes.decode, is_positive=lambda text: text[:1].isupper())


def test_get_returns_what_was_put() -> None:
    cache = new_cache()
    cache.put("a", "Positive")
    cache.put("b", "negative")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("Positive", "negative", None)


def test_the_least_recently_used_entry_is_evicted_first() -> None:
    cache = new_cache(2)
    cache.put("1", "A")
    cache.put("2", "B")
    cache.get("1")
    cache.put("3", "C")
    assert [cache.get(key) for key in "123"] == ["A", None, "C"]


def test_negative_entries_do_not_evict_a_positive_one() -> None:
    cache = new_cache(100)
    cache.put("a", "Positive")
    for number in range(100_000):
        cache.put(str(number), "negative")
    assert cache.get("a") == "Positive"
    assert len(cache) == 11


def test_a_small_cache_keeps_one_negative_entry() -> None:
    cache = new_cache(1)
    cache.put("a", "negative")
    cache.put("b", "negative")
    assert (cache.get("a"), cache.get("b"), len(cache)) == (None, "negative", 1)


def test_the_number_of_positive_entries_is_limited() -> None:
    cache = new_cache(100)
    for number in range(1000):
        cache.put(str(number), "Positive")
    assert len(cache) == 100


def test_a_key_is_either_positive_or_negative() -> None:
    cache = new_cache()
    cache.put("a", "Positive")
    cache.put("a", "negative")
    assert (cache.get("a"), len(cache)) == ("negative", 1)
    cache.put("a", "Positive")
    assert (cache.get("a"), len(cache)) == ("Positive", 1)


def test_forget_returns_whether_there_was_an_entry() -> None:
    cache = new_cache()
    cache.put("a", "Positive")
    cache.put("b", "negative")
    assert [cache.forget(key) for key in "abca"] == [True, True, False, False]
    assert len(cache) == 0
