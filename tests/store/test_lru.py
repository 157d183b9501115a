"""A worker's memory."""

from app.store.lru import LruCache


def memory(size: int = 100) -> LruCache[str]:
    """A memory of texts, of which those with a capital letter are precious."""
    return LruCache(size, encode=str.encode, decode=bytes.decode, is_positive=lambda text: text[:1].isupper())


def test_what_is_put_can_be_got() -> None:
    held = memory()
    held.put("a", "Precious")
    held.put("b", "other")
    assert (held.get("a"), held.get("b"), held.get("c")) == ("Precious", "other", None)


def test_the_least_recently_used_goes_first() -> None:
    held = memory(2)
    held.put("1", "A")
    held.put("2", "B")
    held.get("1")
    held.put("3", "C")
    assert [held.get(key) for key in "123"] == ["A", None, "C"]


def test_others_however_many_do_not_push_a_precious_one_out() -> None:
    held = memory(100)
    held.put("a", "Precious")
    for number in range(100_000):
        held.put(str(number), "other")
    assert held.get("a") == "Precious"
    assert len(held) == 11


def test_it_holds_its_size_in_precious_ones() -> None:
    held = memory(100)
    for number in range(1000):
        held.put(str(number), "Precious")
    assert len(held) == 100


def test_a_value_is_in_one_place_only() -> None:
    held = memory()
    held.put("a", "Precious")
    held.put("a", "other")
    assert (held.get("a"), len(held)) == ("other", 1)
    held.put("a", "Precious")
    assert (held.get("a"), len(held)) == ("Precious", 1)


def test_forgetting_tells_whether_it_was_known() -> None:
    held = memory()
    held.put("a", "Precious")
    held.put("b", "other")
    assert [held.forget(key) for key in "abca"] == [True, True, False, False]
    assert len(held) == 0
