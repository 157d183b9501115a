"""The circuit breakers around a store: lookups still succeed while the store fails, hangs or returns garbage.

Reads and writes have separate circuits, because a store that is full, locked or a replica can still be read. A circuit
is in one of three states:

- *closed*: each call goes to the store. A failure opens the circuit;
- *open*: for ``OPEN_SECONDS`` all calls bypass the store, as if there were no store;
- *half-open*: after that, the next call goes to the store as a probe, and all other calls still bypass the store. If
  the probe succeeds, the circuit closes. If it fails, the circuit opens again.

Calls may overlap, so the success or failure of a call may be out of date when the call ends. Therefore only a probe
closes a circuit, and a failed call opens a circuit only if the circuit has not opened since the call began. While the
circuit of the reads is not closed, writes bypass the store too.

The change from closed to open is logged, and so is the change back to closed. A failed probe is not logged.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(slots=True)
class _Circuit:
    """The state of a circuit, and the messages that are logged when the circuit opens and closes.

    ``opened_message`` has a placeholder for the reason.
    """

    opened_message: str
    closed_message: str
    #: The time at which the circuit becomes half-open; None if the circuit is closed.
    open_until: float | None = None
    is_probe_in_progress: bool = False
    #: How often the circuit has opened.
    openings: int = 0


class CircuitBreakingStore(Generic[V]):
    """The operations of a store on values of type ``V`` instead of bytes. Only ``forget`` raises an exception.

    If ``store`` is None, there is no store: ``is_shared`` is false, and each operation returns its default.
    ``decode`` raises ValueError for bytes that it cannot decode. ``clock`` must not jump. ``has_been_tried`` says
    whether a call of the store has ended yet. It is true from the start if there is no store.
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
        self._reads = _Circuit("the store is bypassed: %s", "the store is available again")
        self._writes = _Circuit("nothing is written to the store: %s", "the store can be written again")
        self._has_logged_garbage = False
        self.is_shared = store is not None
        self.has_been_tried = not self.is_shared

    @property
    def is_bypassed(self) -> bool:
        """Whether reads or writes bypass the store, because a call failed and no probe has succeeded since."""
        return self._reads.open_until is not None or self._writes.open_until is not None

    def look(self, key: str, token: str, seconds: float, now: float) -> tuple[V | None, bool, int]:
        """Return the record, whether ``token`` holds the lease, and the purge number; see ``Store.look``.

        If the store is bypassed, there is no record, and the lease counts as acquired.
        """
        look = self._look(key, token, seconds, now)
        record = self._decoded(key, look.value, self._decode)
        if record is None and look.value is not None and not look.has_lease:
            # The store granted no lease, since its record may not be due. But the bytes are invalid, or a release with
            # another encoding wrote them. They count as a miss, so the lease is needed.
            look = self._look(key, token, seconds, math.inf)
            record = self._decoded(key, look.value, self._decode)
        return record, look.has_lease, look.purge_number

    def _look(self, key: str, token: str, seconds: float, now: float) -> Look:
        return self._read(lambda store: store.look(key, token, seconds, now), Look(None, True, 0))  # noqa: FBT003

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
        return self._write(lambda store: store.settle(key, token, entry, purge_number), default=True)

    def release(self, key: str, token: str) -> None:
        """Release the lease without storing a record."""
        self._write(lambda store: store.settle(key, token, None, 0), default=True, may_be_probe=False)

    def renew_lease(self, key: str, token: str, seconds: float) -> None:
        """Renew the lease, if ``token`` still holds it."""
        self._write(lambda store: store.renew_lease(key, token, seconds), default=True, may_be_probe=False)

    def namespace(self, prefix: str, kind: type[T]) -> "StoreNamespace[T]":
        """Return a view for values of another type, a msgspec struct, behind the same circuit breaker."""
        return StoreNamespace(self, prefix, kind)

    def read(self, key: str, decode: Callable[[bytes], T]) -> T | None:
        """Return the decoded value, or None. ``decode`` raises ValueError for bytes that it cannot decode."""
        return self._decoded(key, self._read(lambda store: store.get(key), None), decode)

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
        self._write(lambda store: store.put(key, data, lifetime=lifetime, is_positive=is_positive), None)

    def forget(self, key: str) -> bool:
        """Delete the value and notify other workers; return whether there was a value.

        Raises:
            Overloaded: the store is unavailable, so it may return the value again later.

        """
        if self._store is None:
            return False
        was_stored = self._write(lambda store: store.forget(key), None)
        if was_stored is None:
            raise Overloaded("the store is unavailable, so nothing can be forgotten at present: try again")
        return was_stored

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return the result of ``Store.invalidations``, or ``since`` and no keys if the store is bypassed."""
        no_keys: list[str] = []
        return self._read(lambda store: store.invalidations(since), (since, no_keys))

    def _read(self, operation: Callable[[Store], T], default: T) -> T:
        return self._call(self._reads, operation, default)

    def _write(self, operation: Callable[[Store], T], default: T, *, may_be_probe: bool = True) -> T:
        """Call an operation that writes, and return its result.

        ``may_be_probe`` is false for an operation that may succeed without writing anything.
        """
        if self._reads.open_until is not None or not (may_be_probe or self._writes.open_until is None):
            return default
        return self._call(self._writes, operation, default)

    def _call(self, circuit: _Circuit, operation: Callable[[Store], T], default: T) -> T:
        """Return the result of the operation.

        If there is no store, the store is bypassed or the operation fails, return ``default``.
        """
        if self._store is None:
            return default
        is_probe = circuit.open_until is not None
        if circuit.open_until is not None:
            if circuit.is_probe_in_progress or self._clock() < circuit.open_until:
                return default
            circuit.is_probe_in_progress = True
        openings = circuit.openings
        try:
            result = operation(self._store)
        except StoreOverloaded:
            self._observer.store_overloaded()
            return default
        except StoreError as error:
            self._observer.store_operation_failed()
            if openings == circuit.openings:
                self._open(circuit, error)
            return default
        finally:
            self.has_been_tried = True
            if is_probe:
                circuit.is_probe_in_progress = False
        if is_probe:
            self._close(circuit)
        return result

    def _open(self, circuit: _Circuit, error: StoreError) -> None:
        if circuit.open_until is None:
            _log.warning(circuit.opened_message, error)
            self._observer.store_bypassed()
        circuit.open_until = self._clock() + OPEN_SECONDS
        circuit.openings += 1

    def _close(self, circuit: _Circuit) -> None:
        _log.warning(circuit.closed_message)
        circuit.open_until = None
        if not self.is_bypassed:
            self._observer.store_recovered()


class StoreNamespace(Generic[T]):
    """A view of a store for values of one type, whose keys have a prefix. The values count as not positive."""

    def __init__(self, store: CircuitBreakingStore[Any], prefix: str, kind: type[T]) -> None:
        self._store = store
        self._prefix = prefix
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def get(self, key: str) -> T | None:
        """Return the value, or None if the store does not have it or is bypassed."""
        return self._store.read(self._prefix + key, self._decode)

    def put(self, key: str, value: T, *, lifetime: float) -> None:
        """Store the value for ``lifetime`` seconds, unless the store is bypassed."""
        self._store.write(self._prefix + key, self._encode(value), lifetime=lifetime, is_positive=False)
