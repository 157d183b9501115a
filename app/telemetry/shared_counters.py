"""The board: numbers that the workers of one server share, each worker in a row of its own.

It is memory that the master has and its workers inherit through fork. A worker writes into its own row alone, so
nothing has to be locked, and the others see it at once: eight bytes are written and read whole. A row outlives its
worker, and the one that comes in its place counts on from what it finds there. So no count is lost or goes backwards
when a worker ends, is killed or is replaced; and there are no files that somebody would have to clear away.
"""

import mmap
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final, Self, TypeAlias

#: What a column is called: the name of what is counted in it, and what distinguishes it from others of that name.
Key = tuple[str, ...]

#: Numbers in memory that several processes share.
SharedArray: TypeAlias = "memoryview[float]"  # which is no class at run time before Python 3.14

#: What stands at the top of the board.
_USED, _RELOADS = range(2)

_BYTES: Final = 8

#: So many numbers lie in one line of a processor's cache: two workers that write into one would slow down each other.
_LINE: Final = 8

#: A part of the board: its columns, and its numbers row by row.
_Sheet = tuple[tuple[Key, ...], SharedArray]

#: What a board is made of: the numbers at its top, the number of its rows, and its sheets.
Parts = tuple[SharedArray, int, list[_Sheet]]


class SharedCounters:
    """Columns by their keys. ``parts`` are plain values: they may outlive the code of the module that made them."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._head, self.slots, self._sheets = parts
        self._places = dict(_places(self._sheets))

    @classmethod
    def create(cls, slots: int) -> Self:
        """Return a board without columns. Of its rows only those that are used take memory."""
        return cls((_numbers(_LINE), slots, []))

    def add(self, keys: Iterable[Key]) -> None:
        """Add columns, unless they are there: for processes that are forked from now on."""
        new = tuple(key for key in dict.fromkeys(keys) if key not in self._places)
        if new:
            self._sheets.append((new, _numbers(self.slots * _width(new))))
            self._places = dict(_places(self._sheets))

    @property
    def keys(self) -> Iterable[Key]:
        """The keys of all columns, in the order in which they were added."""
        return self._places.keys()

    @property
    def reloads(self) -> int:
        """How often ``reload`` was called, in this process or in the one that it was forked from."""
        return int(self._head[_RELOADS])

    def count_reload(self) -> None:
        """Have everybody know that workers are replaced."""
        self._head[_RELOADS] += 1

    def free_slot(self, taken: Container[int]) -> int:
        """Return the first row that is not taken, which is read by all from now on; the last one if all are.

        Several workers in the last row may lose counts to each other.
        """
        row = next((row for row in range(self.slots) if row not in taken), self.slots - 1)
        self._head[_USED] = max(self._head[_USED], row + 1)
        return row

    def cell(self, key: Key, slot: int) -> tuple[SharedArray, int]:
        """Return where a number is: the memory and its place there. Raises KeyError where there is no such column."""
        numbers, column, width = self._places[key]
        return numbers, slot * width + column

    def values(self, key: Key) -> Sequence[float]:
        """Return the numbers of a column in all rows that are or were used. Raises KeyError as ``cell``."""
        numbers, column, width = self._places[key]
        return numbers[column : int(self._head[_USED]) * width : width].tolist()


def _numbers(count: int) -> SharedArray:
    """Return so many numbers, zeros, in memory that this process shares with those that are forked from it."""
    return memoryview(mmap.mmap(-1, count * _BYTES)).cast("d")


def _width(keys: tuple[Key, ...]) -> int:
    return -(-len(keys) // _LINE) * _LINE


def _places(sheets: list[_Sheet]) -> Iterator[tuple[Key, tuple[SharedArray, int, int]]]:
    """Tell for each key the numbers, its column in them and the length of their rows."""
    for keys, numbers in sheets:
        width = _width(keys)
        for column, key in enumerate(keys):
            yield key, (numbers, column, width)
