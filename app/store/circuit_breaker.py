"""The circuit breaker around a store: a store that fails, hangs or returns garbage costs speed, not results.

The circuit is in one of three states:

- *closed*: each call goes to the store. A failure opens the circuit;
- *open*: for ``OPEN_SECONDS`` all calls bypass the store, as if there were none;
- *half-open*: the next call after that goes to the store, while the others still bypass it. Success closes the circuit,
  failure opens it again. Results of calls that began before the circuit opened change nothing.

Opening and closing are logged once each.
"""

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from app.domain.errors import Overloaded
from app.domain.events import NULL_OBSERVER, Observer
from app.store.base import Entry, Look, Store, StoreError, StoreOverloaded

T = TypeVar("T")
V = TypeVar("V")

_log = logging.getLogger(__name__)

#: Seconds for which the store is bypassed after a failure.
OPEN_SECONDS = 5.0


class CircuitBreakingStore(Generic[V]):
    """The operations of a store on values of type ``V`` instead of bytes. None of them raises, except ``forget``.

    ``store`` is None if there is no store: then ``is_shared`` is false and each operation returns its default.
    ``decode`` raises ValueError for bytes that it cannot decode. ``clock`` must not jump. ``has_been_tried`` says
    whether an operation has succeeded or failed yet; it is true from the start if there is no store.
    """

    def __init__(
        self,
        store: Store | None,
        *,
        encode: Callable[[V], bytes],
        decode: Callable[[bytes], V],
        clock: Callable[[], float],
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._store = store
        self._encode = encode
        self._decode = decode
        self._clock = clock
        self._observer = observer
        #: When the circuit becomes half-open; None if it is closed.
        self._open_until: float | None = None
        self._is_trial_in_progress = False
        #: How often the circuit has opened or closed. A call that began at another count is out of date.
        self._changes = 0
        self._has_logged_garbage = False
        self.is_shared = store is not None
        self.has_been_tried = not self.is_shared

    @property
    def is_bypassed(self) -> bool:
        """Whether the circuit is open or half-open: the store has failed, and no call has succeeded since."""
        return self._open_until is not None

    def look(self, key: str, token: str, seconds: float, now: float) -> tuple[V | None, bool, int]:
        """Return the record, whether ``token`` holds the lease, and the purge number; see ``Store.look``.

        If the store is bypassed, there is no record, and the lease counts as acquired.
        """
        nothing = Look(None, has_lease=True, purge_number=0)
        look = self._call(lambda store: store.look(key, token, seconds, now), nothing)
        return self._decoded(key, look.value, self._decode), look.has_lease, look.purge_number

    def settle(
        self,
        key: str,
        token: str,
        value: V,
        purge_number: int,
        *,
        due: float,
        lifetime: float,
        is_positive: bool,
    ) -> bool:
        """Store the record and release the lease; see ``Store.settle``. Returns true if the store is bypassed."""
        entry = Entry(self._encode(value), due, lifetime, is_positive)
        return self._call(lambda store: store.settle(key, token, entry, purge_number), default=True)

    def release(self, key: str, token: str) -> None:
        """Release the lease without storing a record."""
        self._call(lambda store: store.settle(key, token, None, 0), default=True)

    def namespace(self, prefix: str, kind: type[T]) -> "StoreNamespace[T]":
        """Return a view for values of another type, a msgspec struct, behind the same circuit breaker."""
        return StoreNamespace(self, prefix, kind)

    def read(self, key: str, decode: Callable[[bytes], T]) -> T | None:
        """Return the decoded value, or None. ``decode`` raises ValueError for bytes that it cannot decode."""
        return self._decoded(key, self._call(lambda store: store.get(key), None), decode)

    def _decoded(self, key: str, data: bytes | None, decode: Callable[[bytes], T]) -> T | None:
        if data is None:
            return None
        try:
            return decode(data)
        except ValueError as error:
            self._observer.store_operation_failed()
            if not self._has_logged_garbage:
                self._has_logged_garbage = True
                _log.warning("the value of %r in the store is invalid: %s; invalid values count as misses", key, error)
            return None

    def write(self, key: str, data: bytes, *, lifetime: float, is_positive: bool) -> None:
        """Store encoded bytes, unless the store is bypassed."""
        self._call(lambda store: store.put(key, data, lifetime=lifetime, is_positive=is_positive), None)

    def forget(self, key: str) -> bool:
        """Delete the value and notify other workers; return whether there was one.

        Raises:
            Overloaded: the store is unavailable, so the value would come back from it later.

        """
        if self._store is None:
            return False
        was_stored = self._call(lambda store: store.forget(key), None)
        if was_stored is None:
            raise Overloaded("the store is unavailable, so nothing can be forgotten at present: try again")
        return was_stored

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return what ``Store.invalidations`` returns; the same cursor and no keys if the store is bypassed."""
        no_keys: list[str] = []
        return self._call(lambda store: store.invalidations(since), (since, no_keys))

    def acquire_lease(self, key: str, token: str, seconds: float) -> bool:
        """Return whether ``token`` holds the lease; true if the store is bypassed."""
        return self._call(lambda store: store.acquire_lease(key, token, seconds), default=True)

    def _call(self, operation: Callable[[Store], T], default: T) -> T:
        """Return the operation's result; ``default`` if there is no store, it is bypassed, or the operation fails."""
        if self._store is None:
            return default
        is_trial = self._open_until is not None
        if self._open_until is not None:
            if self._is_trial_in_progress or self._clock() < self._open_until:
                return default
            self._is_trial_in_progress = True  # half-open: the others bypass the store meanwhile
        changes = self._changes
        try:
            result = operation(self._store)
        except StoreOverloaded:
            self._observer.store_overloaded()
            return default
        except StoreError as error:
            self._observer.store_operation_failed()
            if changes == self._changes:
                self._open(error)
            return default
        finally:
            self.has_been_tried = True
            if is_trial:
                self._is_trial_in_progress = False
        if is_trial and changes == self._changes:
            self._close()
        return result

    def _open(self, error: StoreError) -> None:
        if self._open_until is None:
            _log.warning("the store is bypassed: %s", error)
            self._observer.store_bypassed()
        self._open_until = self._clock() + OPEN_SECONDS
        self._changes += 1

    def _close(self) -> None:
        _log.warning("the store is available again")
        self._observer.store_recovered()
        self._open_until = None
        self._changes += 1


class StoreNamespace(Generic[T]):
    """A view of a store for values of one type, under a key prefix of its own. The values count as not positive."""

    def __init__(self, store: CircuitBreakingStore[Any], prefix: str, kind: type[T]) -> None:
        self._store = store
        self._prefix = prefix
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def get(self, key: str) -> T | None:
        """Return the value, or None if the store has none or is bypassed."""
        return self._store.read(self._prefix + key, self._decode)

    def put(self, key: str, value: T, *, lifetime: float) -> None:
        """Store the value for ``lifetime`` seconds, unless the store is bypassed."""
        self._store.write(self._prefix + key, self._encode(value), lifetime=lifetime, is_positive=False)
