"""A store in a dictionary, for tests with several workers in one process. It passes the contract of the real stores."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.store.base import Entry, Look


@dataclass(slots=True)
class Shared:
    """The data of one or more stores. ``clock`` is the one by which leases expire."""

    clock: Callable[[], float] = time.monotonic
    values: dict[str, bytes] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    leases: dict[str, tuple[str, float]] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    #: The purge number before the first of ``forgotten``.
    first_number: int = 1

    @property
    def number(self) -> int:
        """The purge number."""
        return self.first_number + len(self.forgotten)

    def lose_data(self) -> None:
        """Delete everything."""
        self.first_number = self.number + 1
        for data in (self.values, self.due, self.leases, self.forgotten):
            data.clear()


@dataclass(slots=True)
class DictionaryStore:
    """One worker's store."""

    shared: Shared = field(default_factory=Shared)

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        value = self.shared.values.get(key)
        is_due = value is None or self.shared.due.get(key, 0) <= now
        has_lease = is_due and self.shared.clock() >= self.shared.leases.get(key, ("", 0.0))[1]
        if has_lease:
            self.shared.leases[key] = (token, self.shared.clock() + seconds)
        return Look(value, has_lease, self.shared.number)

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        if self._holds_lease(key, token):
            del self.shared.leases[key]
        if 0 < purge_number < self.shared.first_number:
            return False
        if key in self.shared.forgotten[max(purge_number - self.shared.first_number, 0) :]:
            return False
        if entry is not None:
            self.shared.values.pop(key, None)
            if entry.lifetime > 0:
                self.shared.values[key] = entry.value
                self.shared.due[key] = entry.due
        return True

    def renew_lease(self, key: str, token: str, seconds: float) -> bool:
        if not self._holds_lease(key, token):
            return False
        self.shared.leases[key] = (token, self.shared.clock() + seconds)
        return True

    def _holds_lease(self, key: str, token: str) -> bool:
        return key in self.shared.leases and self.shared.leases[key][0] == token

    def get(self, key: str) -> bytes | None:
        return self.shared.values.get(key)

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
        assert lifetime > 0
        assert isinstance(is_positive, bool)
        self.shared.values[key] = value

    def forget(self, key: str) -> bool:
        self.shared.forgotten.append(key)
        self.shared.leases.pop(key, None)
        return self.shared.values.pop(key, None) is not None

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        cursor = self.shared.number
        return str(cursor), self.shared.forgotten[max(int(since or cursor) - self.shared.first_number, 0) :]

    def close(self) -> None:
        """Do nothing."""
