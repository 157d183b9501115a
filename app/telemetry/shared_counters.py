"""Counters in memory that the workers of one server share.

The gunicorn master creates the memory, an anonymous mapping (mmap), and its workers inherit it through fork. The memory
has a fixed number of slots. Each worker writes only to its own slot, so no lock is needed. Any process may read all
slots. A reader never sees half a number, because the processor reads and writes eight aligned bytes as a whole.

A slot keeps its counts when its worker ends, and the next worker that gets the slot adds to them. No count is lost or
decreases when a worker exits, is killed or is replaced, and there are no files to remove.
"""

import mmap
from collections.abc import Container, Iterable, Sequence
from typing import Final, Self, TypeAlias

#: The key of a counter: its name, followed by the values of its labels.
Key = tuple[str, ...]

#: An array of doubles in shared memory.
SharedArray: TypeAlias = "memoryview[float]"  # memoryview cannot be subscripted at run time before Python 3.14

#: Counters that were added by one call of ``add``: their keys, and an array with their numbers, slot after slot.
Segment = tuple[tuple[Key, ...], SharedArray]

#: The state of a SharedCounters object: its header, its number of slots, and its segments.
State = tuple[SharedArray, int, list[Segment]]

#: Indexes into the header, which has the number of slots used so far and the number of reloads of the server.
_SLOTS_USED, _RELOADS = range(2)

_DOUBLE_BYTES: Final = 8

#: The number of doubles in a cache line of the processor. Each slot begins at a cache line, because two workers that
#: write to the same cache line slow each other down (false sharing).
_CACHE_LINE_DOUBLES: Final = 8


class SharedCounters:
    """Counters by key, with one number for each slot.

    ``state`` consists of built-in types only. Two objects with the same state share their memory, even if this module
    was reloaded between their creation.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._header, self.slots, self._segments = state
        self._locations: dict[Key, tuple[SharedArray, int, int]] = {}
        for segment in self._segments:
            self._index(segment)

    @classmethod
    def create(cls, slots: int) -> Self:
        """Create an object with this number of slots and no counters. Memory is allocated when it is first used."""
        return cls((_shared_array(_CACHE_LINE_DOUBLES), slots, []))

    def add(self, keys: Iterable[Key]) -> None:
        """Add counters for keys that have none. Only processes that are forked afterwards share the new counters."""
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
        """Add 1 to ``reloads``, in every process that shares this memory."""
        self._header[_RELOADS] += 1

    def free_slot(self, taken: Container[int]) -> int:
        """Return the first slot that is not ``taken``. From now on, ``values`` includes this slot.

        If all slots are taken, return the last slot. Two workers with the same slot may overwrite each other's counts.
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
    """Return an array of ``count`` zeros in memory that this process shares with its future child processes."""
    return memoryview(mmap.mmap(-1, count * _DOUBLE_BYTES)).cast("d")


def _slot_size(keys: tuple[Key, ...]) -> int:
    """Return the number of doubles of a slot in a segment with these keys. Slots consist of whole cache lines."""
    return -(-len(keys) // _CACHE_LINE_DOUBLES) * _CACHE_LINE_DOUBLES
