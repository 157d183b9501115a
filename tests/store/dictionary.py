"""A store in a dictionary, for tests with several workers in one process. It passes the contract of the real stores."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Shared:
    """The data of one or more stores."""

    values: dict[str, bytes] = field(default_factory=dict)
    leases: dict[str, tuple[str, float]] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)


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

    def release_lease(self, key: str, token: str) -> None:
        if self.shared.leases.get(key, ("",))[0] == token:
            del self.shared.leases[key]

    def close(self) -> None:
        """Do nothing."""
