"""The contract of a store, as tests: a subclass for each store says how one is opened."""

import uuid
from collections.abc import Callable

import gevent
import pytest

from app.store.base import Store

#: Opens one more store on the same data, as another worker would.
Opener = Callable[[], Store]

LONG = 600.0


class StoreContract:
    """Each test gets ``open_store`` from the subclass, which closes what it opened."""

    @pytest.fixture
    def store(self, open_store: Opener) -> Store:
        """One store."""
        return open_store()

    def test_what_is_put_can_be_got(self, store: Store) -> None:
        store.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        assert store.get("ozon:1") == b"value"
        assert store.get("ozon:2") is None

    @pytest.mark.parametrize("value", [b"", b"\x00\xff\r\n", b"x" * 100_000], ids=["empty", "binary", "long"])
    def test_values_are_bytes_of_any_kind(self, store: Store, value: bytes) -> None:
        store.put("ozon:1", value, lifetime=LONG, is_positive=True)
        assert store.get("ozon:1") == value

    @pytest.mark.parametrize("key", ["ozon:1", "a b'\"%;--", "обложка:\n", "x" * 300])
    def test_keys_are_texts_of_any_kind(self, store: Store, key: str) -> None:
        store.put(key, b"value", lifetime=LONG, is_positive=False)
        assert store.get(key) == b"value"
        assert store.forget(key)

    def test_a_new_value_replaces_the_old_one(self, store: Store) -> None:
        store.put("ozon:1", b"old", lifetime=LONG, is_positive=True)
        store.put("ozon:1", b"new", lifetime=LONG, is_positive=False)
        assert store.get("ozon:1") == b"new"

    def test_another_worker_sees_it_at_once(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        one.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        assert two.get("ozon:1") == b"value"

    def test_what_is_forgotten_is_gone_for_all(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        one.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        assert two.forget("ozon:1")
        assert one.get("ozon:1") is None
        assert not one.forget("ozon:1")

    def test_everybody_learns_what_was_forgotten_once_and_in_order(self, open_store: Opener) -> None:
        """Known to the store or not: a worker's memory may know what the store does not."""
        one, two = open_store(), open_store()
        one.forget("ozon:0")
        point, before = two.invalidations("")
        assert before == []
        assert two.invalidations(point) == (point, [])
        one.forget("ozon:1")
        one.forget("ozon:2")
        next_point, keys = two.invalidations(point)
        assert keys == ["ozon:1", "ozon:2"]
        assert two.invalidations(next_point) == (next_point, [])
        assert one.invalidations(point)[1] == ["ozon:1", "ozon:2"]

    def test_a_lease_is_held_by_one(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        assert one.lease("ozon:1", "one", LONG)
        assert not two.lease("ozon:1", "two", LONG)
        assert two.lease("ozon:2", "two", LONG)

    def test_its_holder_prolongs_a_lease(self, store: Store) -> None:
        assert store.lease("ozon:1", "one", LONG)
        assert store.lease("ozon:1", "one", LONG)

    def test_a_lease_that_is_given_back_is_free(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        one.lease("ozon:1", "one", LONG)
        one.release("ozon:1", "one")
        assert two.lease("ozon:1", "two", LONG)

    def test_a_lease_of_somebody_elses_cannot_be_given_back(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        one.lease("ozon:1", "one", LONG)
        two.release("ozon:1", "two")
        assert not two.lease("ozon:1", "two", LONG)

    def test_a_lease_ends_by_itself(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        assert one.lease("ozon:1", "one", 0.05)
        with gevent.Timeout(5):
            while not two.lease("ozon:1", "two", LONG):
                gevent.sleep(0.01)
        assert not one.lease("ozon:1", "one", LONG)

    def test_of_many_who_want_a_lease_one_gets_it(self, open_store: Opener) -> None:
        stores = [open_store() for _ in range(4)]
        asking = [gevent.spawn(store.lease, "ozon:1", uuid.uuid4().hex, LONG) for store in stores for _ in range(10)]
        assert sum(greenlet.get() for greenlet in asking) == 1

    def test_a_store_is_used_by_many_greenlets_at_once(self, store: Store) -> None:
        def use(number: int) -> bytes | None:
            store.put(f"ozon:{number}", str(number).encode(), lifetime=LONG, is_positive=True)
            return store.get(f"ozon:{number}")

        using = [gevent.spawn(use, number) for number in range(100)]
        assert [greenlet.get() for greenlet in using] == [str(number).encode() for number in range(100)]

    def test_a_store_that_is_closed_may_be_used_again(self, store: Store) -> None:
        store.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        store.close()
        store.close()
        assert store.get("ozon:1") == b"value"
