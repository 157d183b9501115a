"""One fetch per key among workers and machines: who holds the key's lease fetches, the others wait for the outcome."""

import secrets
from types import TracebackType
from typing import Protocol, Self

import gevent

#: How long a lease lasts unless it is prolonged, in seconds: so long a worker that is killed delays the others.
LEASE_SECONDS = 2.0


class Lessor(Protocol):
    """Grants leases, as ``app.store.circuit_breaker.GuardedStore`` does; raises nothing."""

    def lease(self, key: str, token: str, seconds: float) -> bool: ...  # noqa: D102 - see the class
    def release(self, key: str, token: str) -> None: ...  # noqa: D102 - see the class


class Lease:
    """A lease that is held while the ``with`` block runs: prolonged in time, given back at the end."""

    def __init__(self, lessor: Lessor, key: str, token: str) -> None:
        self._lessor = lessor
        self._key = key
        self._token = token

    @classmethod
    def taken(cls, lessor: Lessor, key: str) -> Self | None:
        """Return the key's lease, or None where somebody else has it."""
        token = secrets.token_hex(8)
        return cls(lessor, key, token) if lessor.lease(key, token, LEASE_SECONDS) else None

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
        self._lessor.release(self._key, self._token)

    def _prolong(self) -> None:
        while True:
            self._lessor.lease(self._key, self._token, LEASE_SECONDS)
            gevent.sleep(LEASE_SECONDS / 3)
