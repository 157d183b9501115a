"""Leases: the worker that holds the lease of a key fetches, and all other workers wait for the result."""

import secrets
from types import TracebackType
from typing import Any, Self

import gevent

from app.store.circuit_breaker import CircuitBreakingStore

#: Seconds after which a lease expires unless it is renewed. If the holder is killed, the other workers wait that long.
LEASE_SECONDS = 2.0

_RENEWAL_INTERVAL = LEASE_SECONDS / 3


def new_token() -> str:
    """Return a random token that identifies the holder of a lease."""
    return secrets.token_hex(8)


class Lease:
    """A lease that ``token`` holds. It is a context manager, which renews the lease during the block.

    At the end of the block the lease is released, unless ``is_settled`` is true: ``Store.settle`` has released it.
    """

    def __init__(self, store: CircuitBreakingStore[Any], key: str, token: str) -> None:
        self.token = token
        self.is_settled = False
        self._store = store
        self._key = key

    def __enter__(self) -> Self:
        """Start the renewals."""
        # Most blocks end before the first renewal. A greenlet that never starts costs almost nothing.
        self._renewals = gevent.spawn_later(_RENEWAL_INTERVAL, self._renew)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the renewals, and release the lease unless it has been released."""
        self._renewals.kill(block=False)
        if not self.is_settled:
            self._store.release(self._key, self.token)

    def _renew(self) -> None:
        while True:
            self._store.renew_lease(self._key, self.token, LEASE_SECONDS)
            gevent.sleep(_RENEWAL_INTERVAL)
