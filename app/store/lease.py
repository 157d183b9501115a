"""One fetch per key among workers and machines: who holds the key's lease fetches, the others wait for the outcome."""

import secrets
from types import TracebackType
from typing import Any, Self

import gevent

from app.store.circuit_breaker import CircuitBreakingStore

#: How long a lease lasts unless it is prolonged, in seconds: so long a worker that is killed delays the others.
LEASE_SECONDS = 2.0


class Lease:
    """A lease that is held while the ``with`` block runs: prolonged in time, given back at the end."""

    def __init__(self, store: CircuitBreakingStore[Any], key: str, token: str) -> None:
        self._store = store
        self._key = key
        self._token = token

    @classmethod
    def acquire(cls, store: CircuitBreakingStore[Any], key: str) -> Self | None:
        """Return the key's lease, or None where somebody else has it."""
        token = secrets.token_hex(8)
        return cls(store, key, token) if store.lease(key, token, LEASE_SECONDS) else None

    def __enter__(self) -> Self:
        """Begin to prolong it."""
        # Most flights end before: a greenlet that never began costs next to nothing.
        self._prolonging = gevent.spawn_later(LEASE_SECONDS / 3, self._prolong)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give it back, whatever happened."""
        self._prolonging.kill(block=False)
        self._store.release(self._key, self._token)

    def _prolong(self) -> None:
        while True:
            self._store.lease(self._key, self._token, LEASE_SECONDS)
            gevent.sleep(LEASE_SECONDS / 3)
