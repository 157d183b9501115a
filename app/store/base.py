"""The protocol of a store: storage behind a worker's memory, shared by the workers of one machine or of many.

A store maps keys to opaque bytes. It is a cache: everything in it can be fetched again. So a store may be slow, return
wrong bytes, or be unavailable. Each method may raise StoreError, and the caller then continues without the store (see
``app.store.circuit_breaker``).
"""

from typing import NamedTuple, Protocol


class StoreError(Exception):
    """An operation of the store failed. ``str(error)`` is one line that says why."""


class StoreOverloaded(StoreError):
    """The operation did not start in time, because this worker has too many of them in progress.

    It says nothing about the health of the store.
    """


class Entry(NamedTuple):
    """A record to store.

    ``due`` is when the record is due for a refresh, in seconds since the epoch: before that, ``Store.look`` grants no
    lease. The record is stored for about ``lifetime`` seconds; with a ``lifetime`` of zero or less, the record that is
    stored is deleted. When the store is full, it evicts records that are not positive first.
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

    A store has a purge number, which never decreases. ``forget`` increases it and notes it for the key. A result that
    was fetched after ``look`` returned some number is stored by ``settle`` only if the key was not forgotten since. So
    a page that was requested before an item was forgotten never decides a result after that. This holds even if the
    store has lost its data since the look, and the note with it: then nothing is stored either.
    """

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        """Return the record, and acquire the key's lease for ``token`` unless the record is not due at ``now``.

        The lease expires after ``seconds``. It is advisory, not a lock: a holder that is delayed for longer does not
        notice that it has expired. If the store can be read but not written, the lease counts as acquired.
        """

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        """Store ``entry``, if there is one, and release the key's lease if ``token`` holds it.

        Returns false, and stores nothing, if the key was forgotten after ``look`` returned ``purge_number``, or if the
        store has lost its data since. The number is 0 if the look failed: then any forgetting of the last hour counts.
        """

    def renew_lease(self, key: str, token: str, seconds: float) -> bool:
        """Let the lease expire after ``seconds`` from now, if ``token`` still holds it; return whether it does."""

    def get(self, key: str) -> bytes | None:
        """Return the value that ``put`` has stored, or None.

        A value whose lifetime has ended may still be returned: the caller must check the times in the value.
        """

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
        """Store the value for about ``lifetime`` seconds.

        When the store is full, it evicts values that are not positive first. The keys of values must differ from those
        of records.
        """

    def forget(self, key: str) -> bool:
        """Delete the record and the lease, and add the key to the invalidations; return whether there was a record.

        Without its lease, a fetch in progress does not delay the next one: its result would be refused anyway.
        """

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return a new cursor, and the keys that were forgotten after the cursor ``since``, oldest first.

        Cursors are opaque strings. With an empty one, only the current cursor is returned, and no keys.
        """

    def close(self) -> None:
        """Close files and connections. A later call may open them again."""
