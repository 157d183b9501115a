"""Leases: among workers and machines, the holder of a key's lease fetches, and the others wait for its result."""

import secrets
from types import TracebackType
from typing import Any, Self

import gevent

from app.store.circuit_breaker import CircuitBreakingStore

#: Seconds after which a lease expires unless it is renewed: the delay for the others when its holder is killed.
LEASE_SECONDS = 2.0

_RENEWAL_INTERVAL = LEASE_SECONDS / 3


class Lease:
    """A lease that has been acquired. As a context manager, it is renewed during the block and released at its end."""

    def __init__(self, store: CircuitBreakingStore[Any], key: str, token: str) -> None:
        self._store = store
        self._key = key
        self._token = token

    @classmethod
    def acquire(cls, store: CircuitBreakingStore[Any], key: str) -> Self | None:
        """Return the key's lease, or None if another token holds it."""
        token = secrets.token_hex(8)
        return cls(store, key, token) if store.acquire_lease(key, token, LEASE_SECONDS) else None

    def __enter__(self) -> Self:
        """Start the renewals."""
        # Most blocks end before the first renewal: a greenlet that has not started costs next to nothing.
        self._renewals = gevent.spawn_later(_RENEWAL_INTERVAL, self._renew)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the renewals and release the lease."""
        self._renewals.kill(block=False)
        self._store.release_lease(self._key, self._token)

    def _renew(self) -> None:
        while True:
            self._store.acquire_lease(self._key, self._token, LEASE_SECONDS)
            gevent.sleep(_RENEWAL_INTERVAL)
