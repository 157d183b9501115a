"""Counters in memory that the workers of one server share.

The gunicorn master creates the memory, an anonymous mapping (mmap), and its workers inherit it through fork. The memory
has a fixed number of slots. Each worker has a slot of its own and writes to no other, so no lock is needed. Any process
may read all slots, and it never sees half a number: the processor reads and writes eight aligned bytes as a whole.

A slot keeps its counts when its worker ends. The next worker that gets the slot adds to them. So no count is lost or
decreases when a worker exits, is killed or is replaced, and no files have to be removed.
"""

import mmap
from collections.abc import Container, Iterable, Sequence
from typing import Final, Self, TypeAlias

#: Names a counter: what it counts, followed by the values of its labels.
Key = tuple[str, ...]

#: An array of doubles in shared memory.
SharedArray: TypeAlias = "memoryview[float]"  # memoryview cannot be subscripted at run time before Python 3.14

#: Counters that were added together: their keys, and an array of their numbers, slot after slot.
Segment = tuple[tuple[Key, ...], SharedArray]

#: The state of a SharedCounters object: its header, its number of slots, and its segments.
State = tuple[SharedArray, int, list[Segment]]

#: Indexes into the header: how many slots have been in use so far, and how often the server was reloaded.
_SLOTS_USED, _RELOADS = range(2)

_DOUBLE_BYTES: Final = 8

#: The doubles in one cache line of the processor. Slots begin at cache lines: two workers that write to the same line
#: slow each other down (false sharing).
_CACHE_LINE_DOUBLES: Final = 8


class SharedCounters:
    """Counters by key, with one number for each slot.

    ``state`` holds only built-in types. An object made from it shares the memory of the original, even if the code of
    this module was reloaded in between.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._header, self.slots, self._segments = state
        self._locations: dict[Key, tuple[SharedArray, int, int]] = {}
        for segment in self._segments:
            self._index(segment)

    @classmethod
    def create(cls, slots: int) -> Self:
        """Create ``slots`` slots without counters. The system allocates a page of memory when it is first accessed."""
        return cls((_shared_array(_CACHE_LINE_DOUBLES), slots, []))

    def add(self, keys: Iterable[Key]) -> None:
        """Add counters with these keys, except those that exist. Only processes forked afterwards share them."""
        new = tuple(key for key in dict.fromkeys(keys) if key not in self._locations)
        if new:
            segment = new, _shared_array(self.slots * _slot_size(new))
            self._segments.append(segment)
            self._index(segment)

    @property
    def keys(self) -> Iterable[Key]:
        """The keys of all counters, in the order in which they were added."""
        return self._locations.keys()

    @property
    def reloads(self) -> int:
        """How often ``count_reload`` was called, in any process that shares this memory."""
        return int(self._header[_RELOADS])

    def count_reload(self) -> None:
        """Record that the server is being reloaded. Every process that shares this memory sees it in ``reloads``."""
        self._header[_RELOADS] += 1

    def free_slot(self, taken: Container[int]) -> int:
        """Return the first slot that is not ``taken``, and include it in ``values`` from now on.

        If all are taken, return the last one. Workers that share a slot may overwrite each other's counts.
        """
        slot = next((slot for slot in range(self.slots) if slot not in taken), self.slots - 1)
        self._header[_SLOTS_USED] = max(self._header[_SLOTS_USED], slot + 1)
        return slot

    def locate(self, key: Key, slot: int) -> tuple[SharedArray, int]:
        """Return the array that holds the number of a counter in a slot, and the index of the number.

        Raises KeyError if there is no counter with this key.
        """
        array, offset, slot_size = self._locations[key]
        return array, slot * slot_size + offset

    def values(self, key: Key) -> Sequence[float]:
        """Return the numbers of a counter in all slots that have ever been in use.

        Raises KeyError if there is no counter with this key.
        """
        array, offset, slot_size = self._locations[key]
        return array[offset : int(self._header[_SLOTS_USED]) * slot_size : slot_size].tolist()

    def _index(self, segment: Segment) -> None:
        keys, array = segment
        slot_size = _slot_size(keys)
        self._locations.update((key, (array, offset, slot_size)) for offset, key in enumerate(keys))


def _shared_array(count: int) -> SharedArray:
    """Return ``count`` zeros in memory that this process shares with the processes forked from it."""
    return memoryview(mmap.mmap(-1, count * _DOUBLE_BYTES)).cast("d")


def _slot_size(keys: tuple[Key, ...]) -> int:
    """Return the doubles that a slot takes in a segment with these keys: whole cache lines."""
    return -(-len(keys) // _CACHE_LINE_DOUBLES) * _CACHE_LINE_DOUBLES
