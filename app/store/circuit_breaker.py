"""The guard in front of a store: one that fails, hangs or lies costs speed, never an answer.

After a failure the store is left alone for a while and then tried by one caller; until it answers again, everybody goes
on as if there were none. State changes are logged once each.
"""

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from app.domain.errors import Overloaded
from app.domain.events import NULL_OBSERVER, Observer
from app.store.base import Store, StoreError

T = TypeVar("T")
V = TypeVar("V")

_log = logging.getLogger(__name__)

#: How long a store is left alone after a failure, in seconds.
OPEN_SECONDS = 5.0


class CircuitBreakingStore(Generic[V]):
    """The methods of a store, but for values instead of bytes, and they do not raise, ``forget`` apart.

    ``decode`` raises ValueError for bytes that are no value. ``clock`` must not jump. ``is_known`` tells whether
    the store has been asked at all, if there is one.
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
        self._closed_until: float | None = None
        self._has_lied = False
        #: Whether there is a store at all: by none, nothing is shared.
        self.is_shared = store is not None
        self.has_been_tried = not self.is_shared

    @property
    def is_bypassed(self) -> bool:
        """Whether the store has failed and not answered since."""
        return self._closed_until is not None

    def get(self, key: str) -> V | None:
        """Return the value, or None where there is none to be had."""
        return self.read(key, self._decode)

    def put(self, key: str, value: V, *, lifetime: float, is_positive: bool) -> None:
        """Have the value kept for ``lifetime`` seconds, if they are any and the store can."""
        if lifetime > 0 and self.is_shared:
            self.write(key, self._encode(value), lifetime=lifetime, is_positive=is_positive)

    def namespace(self, prefix: str, kind: type[T]) -> "StoreNamespace[T]":
        """Return a place for values of another kind, a msgspec struct, behind the same guard."""
        return StoreNamespace(self, prefix, kind)

    def read(self, key: str, decode: Callable[[bytes], T]) -> T | None:
        """Return what ``decode`` makes of the bytes, or None; it raises ValueError for bytes that it cannot use."""
        data = self._attempt(lambda store: store.get(key), None)
        if data is None:
            return None
        try:
            return decode(data)
        except ValueError as error:
            self._observer.store_operation_failed()
            if not self._has_lied:
                self._has_lied = True
                _log.warning("the store has %r as what it is not: %s; the like is taken for a miss", key, error)
            return None

    def write(self, key: str, data: bytes, *, lifetime: float, is_positive: bool) -> None:
        """Have bytes kept, if the store can."""
        self._attempt(lambda store: store.put(key, data, lifetime=lifetime, is_positive=is_positive), None)

    def forget(self, key: str) -> bool:
        """Have the value dropped and everybody told; return whether there was one.

        Raises:
            Overloaded: the store cannot be asked, so the value would come back from it.

        """
        if self._store is None:
            return False
        known = self._attempt(lambda store: store.forget(key), None)
        if known is None:
            raise Overloaded("the store cannot be asked to forget at present: try again")
        return known

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return what was forgotten since then, as far as can be said."""
        nothing: list[str] = []
        return self._attempt(lambda store: store.invalidations(since), (since, nothing))

    def lease(self, key: str, token: str, seconds: float) -> bool:
        """Return whether the lease is the token's; a store that cannot say grants it."""
        return self._attempt(lambda store: store.lease(key, token, seconds), otherwise=True)

    def release(self, key: str, token: str) -> None:
        """Give a lease back."""
        self._attempt(lambda store: store.release(key, token), None)

    def _attempt(self, call: Callable[[Store], T], otherwise: T) -> T:
        if self._store is None:
            return otherwise
        if self._closed_until is not None:
            if self._clock() < self._closed_until:
                return otherwise
            self._closed_until = self._clock() + OPEN_SECONDS  # this caller tries, the others go on without
        try:
            result = call(self._store)
        except StoreError as error:
            self._observer.store_operation_failed()
            if self._closed_until is None:
                _log.warning("the store is passed over: %s", error)
                self._observer.store_bypassed()
            self._closed_until = self._clock() + OPEN_SECONDS
            return otherwise
        finally:
            self.has_been_tried = True
        if self._closed_until is not None:
            _log.warning("the store answers again")
            self._observer.store_recovered()
            self._closed_until = None
        return result


class StoreNamespace(Generic[T]):
    """Values of one kind in a guarded store, under a prefix that no other kind has. They are never precious."""

    def __init__(self, store: CircuitBreakingStore[Any], prefix: str, kind: type[T]) -> None:
        self._guard = store
        self._prefix = prefix
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def get(self, key: str) -> T | None:
        """Return the value, or None where there is none to be had."""
        return self._guard.read(self._prefix + key, self._decode)

    def put(self, key: str, value: T, *, lifetime: float) -> None:
        """Have the value kept for ``lifetime`` seconds, if the store can."""
        self._guard.write(self._prefix + key, self._encode(value), lifetime=lifetime, is_positive=False)
