"""The protocol of a store: storage behind a worker's memory, shared by the workers of one machine or of many.

A store maps keys to opaque bytes. It is a cache: everything in it can be fetched again. So a store may be slow, return
wrong bytes, or be unavailable. Each method may raise StoreError, and the caller then continues without the store (see
``app.store.circuit_breaker``).
"""

from typing import Protocol


class StoreError(Exception):
    """An operation of the store failed. ``str(error)`` is one line that says why."""


class Store(Protocol):
    """Values by key, leases, and a log of invalidations. The methods raise StoreError and nothing else.

    Keys are strings of up to a few hundred arbitrary characters; values are arbitrary bytes.
    """

    def get(self, key: str) -> bytes | None:
        """Return the value, or None.

        A value whose lifetime has ended may still be returned: the caller must check the times in the value.
        """

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
        """Store the value for about ``lifetime`` seconds.

        When the store is full, it evicts values that are not positive first.
        """

    def forget(self, key: str) -> bool:
        """Delete the value and append the key to the invalidations; return whether there was a value."""

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return a new cursor, and the keys that were forgotten after the cursor ``since``, oldest first.

        Cursors are opaque strings. With an empty one, only the current cursor is returned, and no keys.
        """

    def acquire_lease(self, key: str, token: str, seconds: float) -> bool:
        """Acquire the lease of a key, or renew it if ``token`` holds it; return whether ``token`` holds it now.

        The lease expires after ``seconds``. It is advisory, not a lock: a holder that is delayed for longer does not
        notice that it has expired.
        """

    def release_lease(self, key: str, token: str) -> None:
        """Release the lease of a key if ``token`` holds it."""

    def close(self) -> None:
        """Close files and connections. A later call may open them again."""
