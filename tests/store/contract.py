"""The contract of a store, as a test suite. There is a subclass for each store, which says how to open it."""

import uuid
from collections.abc import Callable

import gevent
import pytest

from app.store.base import Store

#: Opens one more store on the same data, as another worker would.
Opener = Callable[[], Store]

LONG = 600.0


class StoreContract:
    """Each test uses the fixture ``open_store`` of the subclass, which closes the stores that it opened."""

    @pytest.fixture
    def store(self, open_store: Opener) -> Store:
        """One store."""
        return open_store()

    def test_get_returns_what_was_put(self, store: Store) -> None:
        store.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        assert store.get("ozon:1") == b"value"
        assert store.get("ozon:2") is None

    @pytest.mark.parametrize("value", [b"", b"\x00\xff\r\n", b"x" * 100_000], ids=["empty", "binary", "long"])
    def test_values_are_arbitrary_bytes(self, store: Store, value: bytes) -> None:
        store.put("ozon:1", value, lifetime=LONG, is_positive=True)
        assert store.get("ozon:1") == value

    @pytest.mark.parametrize("key", ["ozon:1", "a b'\"%;--", "обложка:\n", "x" * 300])
    def test_keys_are_arbitrary_strings(self, store: Store, key: str) -> None:
        store.put(key, b"value", lifetime=LONG, is_positive=False)
        assert store.get(key) == b"value"
        assert store.forget(key)

    def test_put_replaces_an_existing_value(self, store: Store) -> None:
        store.put("ozon:1", b"old", lifetime=LONG, is_positive=True)
        store.put("ozon:1", b"new", lifetime=LONG, is_positive=False)
        assert store.get("ozon:1") == b"new"

    def test_another_worker_sees_a_value_at_once(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        one.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        assert two.get("ozon:1") == b"value"

    def test_a_forgotten_value_is_deleted_for_all_workers(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        one.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        assert two.forget("ozon:1")
        assert one.get("ozon:1") is None
        assert not one.forget("ozon:1")

    def test_each_worker_reads_each_invalidation_once_and_in_order(self, open_store: Opener) -> None:
        """Also of keys that the store does not have: they may be in the memory of a worker."""
        one, two = open_store(), open_store()
        one.forget("ozon:0")
        cursor, earlier = two.invalidations("")
        assert earlier == []
        assert two.invalidations(cursor) == (cursor, [])
        one.forget("ozon:1")
        one.forget("ozon:2")
        next_cursor, keys = two.invalidations(cursor)
        assert keys == ["ozon:1", "ozon:2"]
        assert two.invalidations(next_cursor) == (next_cursor, [])
        assert one.invalidations(cursor)[1] == ["ozon:1", "ozon:2"]

    def test_a_lease_has_one_holder(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        assert one.acquire_lease("ozon:1", "one", LONG)
        assert not two.acquire_lease("ozon:1", "two", LONG)
        assert two.acquire_lease("ozon:2", "two", LONG)

    def test_the_holder_can_renew_a_lease(self, store: Store) -> None:
        assert store.acquire_lease("ozon:1", "one", LONG)
        assert store.acquire_lease("ozon:1", "one", LONG)

    def test_a_released_lease_can_be_acquired(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        one.acquire_lease("ozon:1", "one", LONG)
        assert one.settle("ozon:1", "one", None, 0)
        assert two.acquire_lease("ozon:1", "two", LONG)

    def test_only_the_holder_can_release_a_lease(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        one.acquire_lease("ozon:1", "one", LONG)
        assert two.settle("ozon:1", "two", None, 0)
        assert not two.acquire_lease("ozon:1", "two", LONG)

    def test_a_lease_expires(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        assert one.acquire_lease("ozon:1", "one", 0.05)
        with gevent.Timeout(5):
            while not two.acquire_lease("ozon:1", "two", LONG):
                gevent.sleep(0.01)
        assert not one.acquire_lease("ozon:1", "one", LONG)

    def test_one_of_many_concurrent_callers_acquires_a_lease(self, open_store: Opener) -> None:
        stores = [open_store() for _ in range(4)]
        callers = [
            gevent.spawn(store.acquire_lease, "ozon:1", uuid.uuid4().hex, LONG) for store in stores for _ in range(10)
        ]
        assert sum(greenlet.get() for greenlet in callers) == 1

    def test_many_greenlets_can_use_a_store_at_once(self, store: Store) -> None:
        def put_and_get(number: int) -> bytes | None:
            store.put(f"ozon:{number}", str(number).encode(), lifetime=LONG, is_positive=True)
            return store.get(f"ozon:{number}")

        greenlets = [gevent.spawn(put_and_get, number) for number in range(100)]
        assert [greenlet.get() for greenlet in greenlets] == [str(number).encode() for number in range(100)]

    def test_a_closed_store_can_be_used_again(self, store: Store) -> None:
        store.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        store.close()
        store.close()
        assert store.get("ozon:1") == b"value"
