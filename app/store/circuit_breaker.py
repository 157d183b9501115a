"""The guard in front of a store: one that fails, hangs or lies costs speed, never an answer.

After a failure the store is left alone for a while and then tried by one caller; until it answers again, everybody goes
on as if there were none. State changes are logged once each.
"""

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from app.domain.errors import Overloaded
from app.domain.events import NOBODY, Observer
from app.store.base import NoStore, Store, StoreError

T = TypeVar("T")
V = TypeVar("V")

_log = logging.getLogger(__name__)

#: How long a store is left alone after a failure, in seconds.
PAUSE = 5.0


class GuardedStore(Generic[V]):
    """The methods of a store, but for values instead of bytes, and they do not raise, ``forget`` apart.

    ``decode`` raises ValueError for bytes that are no value. ``clock`` must not jump. ``is_known`` tells whether
    the store has been asked at all, if there is one.
    """

    def __init__(
        self,
        store: Store,
        *,
        encode: Callable[[V], bytes],
        decode: Callable[[bytes], V],
        clock: Callable[[], float],
        observer: Observer = NOBODY,
    ) -> None:
        self._store = store
        self._encode = encode
        self._decode = decode
        self._clock = clock
        self._observer = observer
        self._closed_until: float | None = None
        self._has_lied = False
        #: Whether there is a store at all: by none, nothing is shared.
        self.is_shared = type(store) is not NoStore
        self.is_known = not self.is_shared

    @property
    def is_passed_over(self) -> bool:
        """Whether the store has failed and not answered since."""
        return self._closed_until is not None

    def get(self, key: str) -> V | None:
        """Return the value, or None where there is none to be had."""
        return self.read(key, self._decode)

    def put(self, key: str, value: V, *, lifetime: float, is_precious: bool) -> None:
        """Have the value kept for ``lifetime`` seconds, if they are any and the store can."""
        if lifetime > 0 and self.is_shared:
            self.write(key, self._encode(value), lifetime=lifetime, is_precious=is_precious)

    def shelf(self, prefix: str, kind: type[T]) -> "Shelf[T]":
        """Return a place for values of another kind, a msgspec struct, behind the same guard."""
        return Shelf(self, prefix, kind)

    def read(self, key: str, decode: Callable[[bytes], T]) -> T | None:
        """Return what ``decode`` makes of the bytes, or None; it raises ValueError for bytes that it cannot use."""
        data = self._attempt(lambda: self._store.get(key), None) if self.is_shared else None
        if data is None:
            return None
        try:
            return decode(data)
        except ValueError as error:
            self._observer.store_failed()
            if not self._has_lied:
                self._has_lied = True
                _log.warning("the store has %r as what it is not: %s; the like is taken for a miss", key, error)
            return None

    def write(self, key: str, data: bytes, *, lifetime: float, is_precious: bool) -> None:
        """Have bytes kept, if the store can."""
        self._attempt(lambda: self._store.put(key, data, lifetime=lifetime, is_precious=is_precious), None)

    def forget(self, key: str) -> bool:
        """Have the value dropped and everybody told; return whether there was one.

        Raises:
            Overloaded: the store cannot be asked, so the value would come back from it.

        """
        known = self._attempt(lambda: self._store.forget(key), None)
        if known is None:
            raise Overloaded("the store cannot be asked to forget at present: try again")
        return known

    def forgotten(self, since: str) -> tuple[str, list[str]]:
        """Return what was forgotten since then, as far as can be said."""
        nothing: list[str] = []
        return self._attempt(lambda: self._store.forgotten(since), (since, nothing))

    def lease(self, key: str, token: str, seconds: float) -> bool:
        """Return whether the lease is the token's; a store that cannot say grants it."""
        return self._attempt(lambda: self._store.lease(key, token, seconds), otherwise=True)

    def release(self, key: str, token: str) -> None:
        """Give a lease back."""
        self._attempt(lambda: self._store.release(key, token), None)

    def _attempt(self, call: Callable[[], T], otherwise: T) -> T:
        if self._closed_until is not None:
            if self._clock() < self._closed_until:
                return otherwise
            self._closed_until = self._clock() + PAUSE  # this caller tries, the others go on without
        try:
            result = call()
        except StoreError as error:
            self._observer.store_failed()
            if self._closed_until is None:
                _log.warning("the store is passed over: %s", error)
                self._observer.store_passed_over()
            self._closed_until = self._clock() + PAUSE
            return otherwise
        finally:
            self.is_known = True
        if self._closed_until is not None:
            _log.warning("the store answers again")
            self._observer.store_answers()
            self._closed_until = None
        return result


class Shelf(Generic[T]):
    """Values of one kind in a guarded store, under a prefix that no other kind has. They are never precious."""

    def __init__(self, guard: GuardedStore[Any], prefix: str, kind: type[T]) -> None:
        self._guard = guard
        self._prefix = prefix
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def get(self, key: str) -> T | None:
        """Return the value, or None where there is none to be had."""
        return self._guard.read(self._prefix + key, self._decode)

    def put(self, key: str, value: T, *, lifetime: float) -> None:
        """Have the value kept for ``lifetime`` seconds, if the store can."""
        self._guard.write(self._prefix + key, self._encode(value), lifetime=lifetime, is_precious=False)
