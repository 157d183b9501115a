"""The purge log: what the workers of one server have forgotten lately, in memory that they share.

It takes the place of a store's purge numbers and invalidations where there is no store. Each worker writes only to its
own part, so no lock is needed. The number of a purge is a time of the machine's monotonic clock, in microseconds, which
all processes share.
"""

import mmap
import time
from collections.abc import Callable, Iterable
from typing import Final, Self

#: Purges that the log keeps of each worker. If a worker makes more while a page is fetched, the page's record is not
#: saved: that costs one more fetch, and nothing is missed.
ENTRIES: Final = 256

#: The numbers of a worker's part: how many purges it has made, and for each entry its number and the hash of its key.
PART_SIZE: Final = 1 + 2 * ENTRIES

_HASH_MASK: Final = (1 << 53) - 1  # what a double holds exactly


class PurgeLog:
    """The log in ``memory``, doubles of which each worker has ``PART_SIZE``; ``part`` is the number of this worker's.

    ``clock`` returns seconds and must be the same for all processes.
    """

    def __init__(self, memory: "memoryview[float]", part: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._memory = memory
        self._start = part * PART_SIZE
        self._clock = clock
        self._latest_read = self.number()

    @classmethod
    def create(cls, parts: int = 1) -> Self:
        """Return a new log, which this process shares with those that are forked from it."""
        return cls(allocate(parts), 0)

    def number(self) -> int:
        """Return the purge number of this moment: greater than those of all earlier purges."""
        return int(self._clock() * 1e6)

    def add(self, key: str) -> None:
        """Note that a key was forgotten now."""
        count = int(self._memory[self._start])
        entry = self._start + 1 + 2 * (count % ENTRIES)
        self._memory[entry] = self.number()
        self._memory[entry + 1] = _hash(key)
        self._memory[self._start] = count + 1

    def is_purged(self, key: str, since: int) -> bool:
        """Return whether the key was forgotten at or after the purge number ``since``."""
        return _hash(key) in self._hashes_since(since)

    def purged_keys(self, keys: Iterable[str]) -> list[str]:
        """Return those of ``keys`` that any worker has forgotten since the last call."""
        since, self._latest_read = self._latest_read, self.number()
        hashes = self._hashes_since(since)
        return [key for key in keys if _hash(key) in hashes] if hashes else []

    def _hashes_since(self, since: int) -> "set[int] | _Everything":
        hashes: set[int] = set()
        for start in range(0, len(self._memory), PART_SIZE):
            count = int(self._memory[start])
            for number in range(count - 1, max(count - ENTRIES, 0) - 1, -1):
                entry = start + 1 + 2 * (number % ENTRIES)
                if self._memory[entry] < since:
                    break
                hashes.add(int(self._memory[entry + 1]))
            else:
                if count > ENTRIES:
                    return _Everything()  # older purges have been overwritten
        return hashes


class _Everything:
    """A set that contains every hash."""

    def __contains__(self, _hash_value: int) -> bool:
        return True


def allocate(parts: int) -> "memoryview[float]":
    """Return memory for so many workers, which this process shares with those that are forked from it."""
    return memoryview(mmap.mmap(-1, parts * PART_SIZE * 8)).cast("d")


def _hash(key: str) -> int:
    # Python's own hash of a string is cached in the string, and the same in all processes that are forked from one.
    return hash(key) & _HASH_MASK
