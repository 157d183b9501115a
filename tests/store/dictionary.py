"""A store in a dictionary, for tests with several workers in one process. It passes the contract of the real stores."""

import time
from dataclasses import dataclass, field

from app.store.base import Entry, Look


@dataclass(slots=True)
class Shared:
    """The data of one or more stores."""

    values: dict[str, bytes] = field(default_factory=dict)
    leases: dict[str, tuple[str, float]] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    due: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class DictionaryStore:
    """One worker's store."""

    shared: Shared = field(default_factory=Shared)

    def get(self, key: str) -> bytes | None:
        return self.shared.values.get(key)

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
        assert lifetime > 0
        assert isinstance(is_positive, bool)
        self.shared.values[key] = value

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        value = self.shared.values.get(key)
        is_due = value is None or self.shared.due.get(key, 0) <= now
        return Look(value, is_due and self.acquire_lease(key, token, seconds), len(self.shared.forgotten))

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        if self.shared.leases.get(key, ("",))[0] == token:
            del self.shared.leases[key]
        if key in self.shared.forgotten[purge_number:]:
            return False
        if entry is not None:
            self.shared.values.pop(key, None)
            if entry.lifetime > 0:
                self.shared.values[key] = entry.value
                self.shared.due[key] = entry.due
        return True

    def forget(self, key: str) -> bool:
        self.shared.forgotten.append(key)
        return self.shared.values.pop(key, None) is not None

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        cursor = str(len(self.shared.forgotten))
        return cursor, self.shared.forgotten[int(since or cursor) :]

    def acquire_lease(self, key: str, token: str, seconds: float) -> bool:
        holder, expires_at = self.shared.leases.get(key, ("", 0.0))
        if holder != token and time.monotonic() < expires_at:
            return False
        self.shared.leases[key] = (token, time.monotonic() + seconds)
        return True

    def close(self) -> None:
        """Do nothing."""
