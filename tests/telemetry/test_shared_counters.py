"""The board: numbers of several processes."""

import os

import pytest

from app.telemetry.shared_counters import SharedCounters

CALLS, WAITS = ("calls", "get_cover"), ("waits",)


def board(rows: int = 4) -> SharedCounters:
    made = SharedCounters.create(rows)
    made.add([CALLS, WAITS])
    return made


def write(board: SharedCounters, row: int, value: float) -> None:
    numbers, place = board.cell(CALLS, row)
    numbers[place] += value


def test_what_a_forked_process_writes_all_read() -> None:
    shared = board()
    rows = [shared.free_slot(range(row)) for row in range(2)]
    for row in rows:
        child = os.fork()
        if child == 0:
            write(shared, row, 2.5 + row)
            os._exit(0)
        os.waitpid(child, 0)
    assert shared.values(CALLS) == [2.5, 3.5]
    assert shared.values(WAITS) == [0, 0]


def test_a_row_is_free_when_nobody_else_has_it() -> None:
    shared = board()
    assert [shared.free_slot(taken) for taken in (set[int](), {0, 1}, {1, 2}, {0, 1, 2})] == [0, 2, 0, 3]


def test_who_finds_no_row_free_has_the_last_one() -> None:
    shared = board(rows=2)
    assert shared.free_slot({0, 1}) == 1


def test_only_rows_that_were_used_are_read() -> None:
    """So the others take no memory."""
    shared = board(rows=1000)
    assert shared.values(CALLS) == []
    shared.free_slot({0, 1})
    assert len(shared.values(CALLS)) == 3


def test_columns_that_are_added_change_none_that_are_there() -> None:
    shared = board()
    write(shared, shared.free_slot({0}), 7)
    shared.add([("new",), CALLS, ("newer",)])
    assert list(shared.keys) == [CALLS, WAITS, ("new",), ("newer",)]
    assert [list(shared.values(key)) for key in shared.keys] == [[0, 7], [0, 0], [0, 0], [0, 0]]


def test_a_board_made_of_the_parts_of_another_is_the_same() -> None:
    """So it may be looked at by other code than that which made it."""
    first = board()
    second = SharedCounters(first.parts)
    second.add([("new",)])
    write(second, second.free_slot(()), 7)
    second.count_reload()
    assert first.values(CALLS) == [7]
    assert first.reloads == 1
    assert second.values(("new",)) == [0]


def test_a_column_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        board().cell(("unknown",), 0)
    with pytest.raises(KeyError):
        board().values(("unknown",))
