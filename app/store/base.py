"""The protocol of a store, which is the storage behind the memory of each worker.

The workers of one machine or of many machines share a store. A store maps keys to opaque bytes. It is a cache, because
everything in it can be fetched again. So a store may be slow, return wrong bytes, or be unavailable. Each method may
raise StoreError, and the caller then continues without the store (see ``app.store.circuit_breaker``).
"""

from typing import NamedTuple, Protocol


class StoreError(Exception):
    """An operation of the store failed. ``str(error)`` is one line that says why."""


class StoreOverloaded(StoreError):
    """The operation did not start in time, because this worker has too many operations in progress.

    The error says nothing about the health of the store.
    """


class Entry(NamedTuple):
    """A record to store.

    ``due`` is the time at which the record is due for a refresh, in seconds since the epoch. Before that time,
    ``Store.look`` grants no lease. The record is stored for about ``lifetime`` seconds. If ``lifetime`` is zero or
    less, the record is not stored, and an older record is deleted. A full store evicts the records that are not
    positive before the others.
    """

    value: bytes
    due: float
    lifetime: float
    is_positive: bool


class Look(NamedTuple):
    """The result of ``Store.look``: the record or None, whether the token holds the lease, and the purge number."""

    value: bytes | None
    has_lease: bool
    purge_number: int


class Store(Protocol):
    """Records and leases by key, further values by key, and a log of invalidations.

    The methods raise StoreError and nothing else. Keys are strings of up to a few hundred arbitrary characters; values
    are arbitrary bytes.

    A store has a purge number, which never decreases. ``forget`` increases the number and keeps it with the key.
    ``look`` returns the number, the caller passes it to ``settle``, and ``settle`` stores a record only if the key was
    not forgotten since the look. So a page that was requested before an item was forgotten never decides a result after
    that. If the store has lost its data since the look, it does not know what was forgotten, and ``settle`` stores
    nothing.
    """

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        """Return the record. If there is none, or it is due at ``now``, acquire the key's lease for ``token``.

        The lease is not acquired if another token holds it. The lease expires after ``seconds``. It is advisory and not
        a lock, because a holder that is delayed for longer does not notice that the lease has expired. If the store can
        be read but not written, the lease counts as acquired.
        """

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        """Store ``entry``, if there is one, and release the key's lease if ``token`` holds it.

        Returns false, and stores nothing, if the key was forgotten after ``look`` returned ``purge_number``, or if the
        store has lost its data since then. If the look failed, ``purge_number`` is 0. The result is then false if the
        key was forgotten within the last hour.
        """

    def renew_lease(self, key: str, token: str, seconds: float) -> bool:
        """If ``token`` still holds the lease, let it expire ``seconds`` from now. Return whether ``token`` holds it."""

    def get(self, key: str) -> bytes | None:
        """Return the value that ``put`` has stored, or None.

        The caller must check the times in the value, because the store may return a value whose lifetime has ended.
        """

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
        """Store the value for about ``lifetime`` seconds.

        A full store evicts the values that are not positive before the others. No key may have both a value and a
        record.
        """

    def forget(self, key: str) -> bool:
        """Delete the record and the lease, and add the key to the invalidations; return whether there was a record.

        The lease is deleted so that a fetch in progress does not delay the next fetch. ``settle`` refuses the result of
        the fetch in progress.
        """

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return a new cursor, and the keys that were forgotten after the cursor ``since``, oldest first.

        Cursors are opaque strings. If ``since`` is empty, the result is the current cursor and no keys.
        """

    def close(self) -> None:
        """Close files and connections. A later call may open them again."""
