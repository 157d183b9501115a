"""The contract of a store, as a test suite. There is a subclass for each store, which says how to open it."""

import time
import uuid
from collections.abc import Callable

import gevent
import pytest

from app.store.base import Entry, Look, Store

#: Opens one more store on the same data, as another worker would.
Opener = Callable[[], Store]

LONG = 600.0

#: The time at which the tests look.
NOW = 1_700_000_000.0


def entry(value: bytes = b"value", *, due: float = NOW + LONG, lifetime: float = LONG) -> Entry:
    """Return the entry of a positive record, which is not due at NOW."""
    return Entry(value, due, lifetime, is_positive=True)


def look(store: Store, token: str, key: str = "ozon:1", seconds: float = LONG) -> Look:
    """Look at NOW."""
    return store.look(key, token, seconds, NOW)


def read(store: Store, key: str = "ozon:1") -> bytes | None:
    """Return the record, without acquiring the lease if it is not due at NOW."""
    return look(store, uuid.uuid4().hex, key).value


def save(store: Store, key: str = "ozon:1", saved: Entry | None = None) -> None:
    """Store a record that was fetched after a look."""
    assert store.settle(key, "", saved or entry(), look(store, "", key).purge_number)


class StoreContract:
    """Each test uses the fixture ``open_store`` of the subclass, which closes the stores that it opened.

    The fixture ``evict`` is a function that removes the record of a key, as a full store does. ``lose_data`` is one
    that removes all data, as FLUSHALL or a corrupt file does.
    """

    @pytest.fixture
    def store(self, open_store: Opener) -> Store:
        """One store."""
        return open_store()

    def test_get_returns_what_was_put(self, store: Store) -> None:
        store.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        assert store.get("ozon:1") == b"value"
        assert store.get("ozon:2") is None

    def test_look_returns_what_was_settled(self, store: Store) -> None:
        save(store)
        assert read(store) == b"value"
        assert read(store, "ozon:2") is None

    @pytest.mark.parametrize("value", [b"", b"\x00\xff\r\n", b"x" * 100_000], ids=["empty", "binary", "long"])
    def test_values_are_arbitrary_bytes(self, store: Store, value: bytes) -> None:
        store.put("@host:1", value, lifetime=LONG, is_positive=True)
        save(store, saved=entry(value))
        assert store.get("@host:1") == read(store) == value

    @pytest.mark.parametrize("key", ["ozon:1", "a b'\"%;--", "обложка:\n", "}{:record", "x" * 300])
    def test_keys_are_arbitrary_strings(self, store: Store, key: str) -> None:
        store.put(f"@{key}", b"other", lifetime=LONG, is_positive=False)
        save(store, key)
        assert (store.get(f"@{key}"), read(store, key)) == (b"other", b"value")
        cursor, _ = store.invalidations("")
        assert store.forget(key)
        assert store.invalidations(cursor)[1] == [key]

    def test_put_replaces_an_existing_value(self, store: Store) -> None:
        store.put("ozon:1", b"old", lifetime=LONG, is_positive=True)
        store.put("ozon:1", b"new", lifetime=LONG, is_positive=False)
        assert store.get("ozon:1") == b"new"

    def test_another_worker_sees_a_value_at_once(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        one.put("@host:1", b"value", lifetime=LONG, is_positive=True)
        save(one)
        assert two.get("@host:1") == read(two) == b"value"

    def test_a_forgotten_value_is_deleted_for_all_workers(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        save(one)
        assert two.forget("ozon:1")
        assert read(one) is None
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

    def test_invalidations_after_a_loss_of_data_are_not_missed(
        self, open_store: Opener, lose_data: Callable[[], None]
    ) -> None:
        one, two = open_store(), open_store()
        one.forget("ozon:1")
        one.forget("ozon:2")
        cursor, _ = two.invalidations("")
        lose_data()
        cursor, first = two.invalidations(cursor)
        one.forget("ozon:3")
        assert first + two.invalidations(cursor)[1] == ["ozon:3"]

    # Leases

    @pytest.mark.parametrize("saved", [None, entry(due=NOW)], ids=["no record", "a record that is due"])
    def test_a_lease_has_one_holder(self, open_store: Opener, saved: Entry | None) -> None:
        one, two = open_store(), open_store()
        if saved is not None:
            save(one, saved=saved)
        value = None if saved is None else saved.value
        assert look(one, "one")[:2] == (value, True)
        assert look(two, "two")[:2] == (value, False)
        assert look(two, "two", "ozon:2").has_lease

    def test_a_record_that_is_not_due_is_returned_without_a_lease(self, open_store: Opener) -> None:
        """So the lease is free for the first look at which the record is due."""
        one, two = open_store(), open_store()
        save(one)
        assert look(one, "one")[:2] == (b"value", False)
        assert two.look("ozon:1", "two", LONG, NOW + LONG)[:2] == (b"value", True)

    def test_the_holder_can_renew_a_lease(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        for key in ("ozon:1", "ozon:2"):
            assert look(one, "one", key, seconds=0.05).has_lease
        assert one.renew_lease("ozon:1", "one", LONG)
        with gevent.Timeout(5):
            while not look(two, "two", "ozon:2").has_lease:
                gevent.sleep(0.01)
        assert not look(two, "two", "ozon:1").has_lease

    def test_nobody_else_can_renew_a_lease(self, open_store: Opener) -> None:
        """Neither if another token holds it, nor if none does.

        It fails if a renewal acquires a free lease: one that arrives after ``settle`` would then delay the others.
        """
        one, two = open_store(), open_store()
        look(one, "one")
        assert not two.renew_lease("ozon:1", "two", LONG)
        one.settle("ozon:1", "one", None, 0)
        assert not one.renew_lease("ozon:1", "one", LONG)
        assert look(two, "two").has_lease

    def test_a_lease_is_released_without_a_record(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        look(one, "one")
        assert one.settle("ozon:1", "one", None, 0)
        assert look(two, "two").has_lease

    def test_a_lease_is_released_with_a_record(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        number = look(one, "one").purge_number
        assert one.settle("ozon:1", "one", entry(due=NOW), number)
        assert look(two, "two")[:2] == (b"value", True)

    def test_a_lease_is_released_with_a_record_that_must_not_be_kept(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        number = look(one, "one").purge_number
        assert one.settle("ozon:1", "one", entry(lifetime=0), number)
        assert look(two, "two")[:2] == (None, True)

    def test_only_the_holder_can_release_a_lease(self, open_store: Opener) -> None:
        one, two = open_store(), open_store()
        look(one, "one")
        assert two.settle("ozon:1", "two", None, 0)
        assert not look(two, "two").has_lease

    def test_a_lease_expires_and_its_former_holder_does_not_release_the_next_one(self, open_store: Opener) -> None:
        """The late result is stored all the same: it is as good as any."""
        one, two, three = open_store(), open_store(), open_store()
        number = look(one, "one", seconds=0.05).purge_number
        with gevent.Timeout(5):
            while not look(two, "two").has_lease:
                gevent.sleep(0.01)
        assert not one.renew_lease("ozon:1", "one", LONG)
        assert one.settle("ozon:1", "one", entry(due=NOW), number)
        assert look(three, "three")[:2] == (b"value", False)

    def test_one_of_many_concurrent_callers_acquires_a_lease(self, open_store: Opener) -> None:
        stores = [open_store() for _ in range(4)]
        callers = [gevent.spawn(look, store, uuid.uuid4().hex) for store in stores for _ in range(10)]
        assert sum(greenlet.get().has_lease for greenlet in callers) == 1

    def test_one_of_many_callers_fetches(self, open_store: Opener) -> None:
        """Each looks until there is a record, or it has the lease; then it stores one.

        It fails if ``look`` returns what it read before it waited for the lease.
        """
        fetched = []

        def find(store: Store) -> bytes:
            token = uuid.uuid4().hex
            while (found := look(store, token)).value is None:
                if found.has_lease:
                    fetched.append(token)
                    gevent.sleep(0)  # the fetch
                    store.settle("ozon:1", token, entry(), found.purge_number)
                gevent.sleep(0)
            assert not found.has_lease
            return found.value

        stores = [open_store() for _ in range(4)]
        callers = [gevent.spawn(find, store) for store in stores for _ in range(10)]
        assert {greenlet.get() for greenlet in callers} == {b"value"}
        assert len(fetched) == 1

    # Purges

    def test_a_result_from_before_a_forgetting_is_refused(self, open_store: Opener) -> None:
        """Nothing of it remains, and it does not replace a later result either.

        It fails without purge numbers.
        """
        one, two = open_store(), open_store()
        before = look(one, "one").purge_number
        two.forget("ozon:1")
        assert not one.settle("ozon:1", "one", entry(b"old"), before)
        later = look(two, "two")
        assert later[:2] == (None, True)
        assert two.settle("ozon:1", "two", entry(b"new"), later.purge_number)
        for late in (entry(b"old"), entry(b"old", lifetime=0)):
            assert not one.settle("ozon:1", "one", late, before)
        assert read(two) == b"new"

    def test_a_result_from_after_a_forgetting_is_accepted(self, open_store: Opener) -> None:
        """Even if all calls come one right after the other."""
        one, two = open_store(), open_store()
        for number in range(20):
            two.forget("ozon:1")
            two.forget("ozon:1")
            assert one.settle("ozon:1", "one", entry(b"%d" % number), look(one, "one").purge_number)
            assert read(two) == b"%d" % number

    def test_purge_numbers_never_decrease(self, store: Store, lose_data: Callable[[], None]) -> None:
        """Not even if all data is lost."""
        numbers = []
        for _ in range(3):
            for _ in range(3):
                numbers.append(look(store, "").purge_number)
                store.forget("ozon:1")
            lose_data()
        assert numbers == sorted(set(numbers))
        assert numbers[0] > 0

    def test_forgetting_one_key_does_not_affect_others(self, store: Store) -> None:
        before = look(store, "one").purge_number
        store.forget("ozon:2")
        assert store.settle("ozon:1", "one", entry(), before)

    def test_forgetting_releases_the_lease(self, open_store: Opener) -> None:
        """The next lookup does not wait for a result that will be refused, and the former holder does not disturb it.

        It fails if the lease is kept: then the next lookup waits until the fetch in progress has ended.
        """
        one, two, three = open_store(), open_store(), open_store()
        before = look(one, "one").purge_number
        two.forget("ozon:1")
        assert look(two, "two").has_lease
        assert not one.renew_lease("ozon:1", "one", LONG)
        assert not one.settle("ozon:1", "one", entry(), before)
        assert not look(three, "three").has_lease

    @pytest.mark.parametrize("loss", ["deleted", "evicted", "expired"])
    def test_a_result_from_before_a_forgetting_is_refused_whatever_became_of_the_record(
        self, open_store: Opener, evict: Callable[[str], None], loss: str
    ) -> None:
        """It fails if the number is kept in the record."""
        one, two = open_store(), open_store()
        save(one, saved=entry(due=NOW))
        before = look(one, "one").purge_number
        two.forget("ozon:1")
        save(two, saved=entry(due=NOW, lifetime=0.001 if loss == "expired" else LONG))
        if loss == "deleted":
            save(two, saved=entry(lifetime=0))
        elif loss == "evicted":
            evict("ozon:1")
        else:
            end = time.monotonic() + 0.01
            while time.monotonic() < end:
                gevent.sleep(0.001)
        value = read(two)
        assert not one.settle("ozon:1", "one", entry(b"old"), before)
        assert read(two) == value

    @pytest.mark.parametrize("events", ["loss, forget", "forget, loss", "forget, loss, look", "forget, loss, forget 2"])
    def test_a_result_from_before_a_forgetting_is_refused_after_a_loss_of_data(
        self, open_store: Opener, lose_data: Callable[[], None], events: str
    ) -> None:
        """It fails if numbers start again from 0, or if only the note of the forgetting counts."""
        one, two = open_store(), open_store()
        for _ in range(3):
            two.forget("ozon:2")
        before = look(one, "one").purge_number
        steps: dict[str, Callable[[], object]] = {
            "loss": lose_data,
            "forget": lambda: two.forget("ozon:1"),
            "forget 2": lambda: two.forget("ozon:2"),
            "look": lambda: look(two, "two", "ozon:3"),
        }
        for event in events.split(", "):
            steps[event]()
        assert not one.settle("ozon:1", "one", entry(b"old"), before)
        assert look(one, "one")[:2] == (None, True)

    def test_a_result_without_a_look_is_refused_only_if_the_key_was_forgotten_lately(self, store: Store) -> None:
        """The store was not available for the look, so its number is 0."""
        assert store.settle("ozon:1", "one", entry(), 0)
        assert read(store) == b"value"
        store.forget("ozon:1")
        assert not store.settle("ozon:1", "one", entry(), 0)
        assert read(store) is None

    def test_a_record_that_must_not_be_kept_replaces_the_stored_one(self, store: Store) -> None:
        """It fails if nothing is written for a lifetime of zero: the old record would come back after a restart."""
        save(store)
        for lifetime in (0.0, -5.0):
            save(store, saved=entry(lifetime=lifetime))
            assert read(store) is None

    def test_many_greenlets_can_use_a_store_at_once(self, store: Store) -> None:
        def settle_and_look(number: int) -> bytes | None:
            save(store, f"ozon:{number}", entry(str(number).encode()))
            return read(store, f"ozon:{number}")

        greenlets = [gevent.spawn(settle_and_look, number) for number in range(100)]
        assert [greenlet.get() for greenlet in greenlets] == [str(number).encode() for number in range(100)]

    def test_a_closed_store_can_be_used_again(self, store: Store) -> None:
        store.put("@host:1", b"value", lifetime=LONG, is_positive=True)
        store.close()
        store.close()
        assert store.get("@host:1") == b"value"
