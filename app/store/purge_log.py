"""The purge log: the keys that the workers of one server have forgotten lately, in memory that the workers share.

If there is no store, the log replaces the purge numbers and invalidations of a store. Each worker appends only to its
own part of the log, so no lock is needed. A *position* in the log is the number of purges that each worker has made.
Positions need no clock. A purge that is not visible yet when a position is read comes after that position, even if the
process that makes the purge is suspended for a long time.
"""

import mmap
from collections.abc import Iterable
from typing import Final, Self, TypeAlias

#: The number of purges by each worker.
Position: TypeAlias = tuple[float, ...]

#: The number of purges that the log keeps for each worker. If a worker makes as many purges while a page is fetched,
#: the record of the page is not saved. That costs another fetch, but no purge is missed.
ENTRIES: Final = 256

_HASH_MASK: Final = (1 << 53) - 1  # a double represents all integers up to this one exactly

_DOUBLE_BYTES: Final = 8


class PurgeLog:
    """The log in ``memory``, which ``allocate`` returned. ``part`` is the number of this worker's part.

    The memory begins with the position. The parts follow, each with the hashes of the latest ``ENTRIES`` keys.
    """

    def __init__(self, memory: "memoryview[float]", part: int) -> None:
        self._memory = memory
        self._parts = len(memory) // (1 + ENTRIES)
        self._part = part
        self._read_position = self.position()

    @classmethod
    def create(cls) -> Self:
        """Return a new log with one part."""
        return cls(allocate(1), 0)

    def position(self) -> Position:
        """Return the present position, which is the end of the log."""
        return tuple(self._memory[: self._parts].tolist())

    def add(self, key: str) -> None:
        """Record that this worker has forgotten a key. ``has_unread`` and ``purged_keys`` ignore own purges."""
        count = int(self._memory[self._part])
        # The entry must be complete before the position includes it.
        self._memory[self._entry(self._part, count)] = _hash(key)
        self._memory[self._part] = count + 1
        read = self._read_position
        if read[self._part] == count:  # false if all parts were taken, and another worker writes to the same part
            self._read_position = (*read[: self._part], count + 1, *read[self._part + 1 :])

    def is_purged(self, key: str, since: Position) -> bool:
        """Return whether the key was forgotten after the position ``since``, or true if that is no longer known."""
        hashes = self._hashes_since(since)
        return hashes is None or _hash(key) in hashes

    def has_unread(self, key: str) -> bool:
        """Return whether another worker has forgotten the key since the last call of ``purged_keys``."""
        return self.is_purged(key, self._read_position)

    def purged_keys(self, keys: Iterable[str]) -> list[str]:
        """Return those of ``keys`` that other workers have forgotten since the last call.

        If the log does not have all of these purges any more, all ``keys`` are returned.
        """
        since, self._read_position = self._read_position, self.position()
        hashes = self._hashes_since(since)
        if hashes is None:
            return list(keys)
        return [key for key in keys if _hash(key) in hashes] if hashes else []

    def _hashes_since(self, since: Position) -> set[float] | None:
        """Return the hashes of the keys forgotten after ``since``, or None if some have been overwritten already."""
        hashes: set[float] = set()
        if since == self.position():
            return hashes  # the usual case
        for part, start in enumerate(since):
            end = self._memory[part]
            if end - start < ENTRIES:
                hashes.update(self._memory[self._entry(part, number)] for number in range(int(start), int(end)))
            # Read the count again, because the worker may have overwritten an entry in the meantime. The worker writes
            # an entry before it increases the count, so the oldest of ENTRIES entries may be overwritten already.
            if self._memory[part] - start >= ENTRIES:
                return None
        return hashes

    def _entry(self, part: int, number: int) -> int:
        return self._parts + part * ENTRIES + number % ENTRIES


def allocate(parts: int) -> "memoryview[float]":
    """Return memory for a log of ``parts`` parts. Processes that are forked from this process share the memory."""
    return memoryview(mmap.mmap(-1, parts * (1 + ENTRIES) * _DOUBLE_BYTES)).cast("d")


def _hash(key: str) -> int:
    # Python caches the hash of a string in the string. All processes that are forked from one process use the same hash
    # function.
    return hash(key) & _HASH_MASK
