"""A worker's seat in its server: what the server tells the application that it serves.

gunicorn.conf.py has each worker take its seat when it is forked. Where nobody does, in another server, the application
has a seat of its own, on a board that it shares with nobody.
"""

from collections.abc import Callable

import msgspec

from app.telemetry.shared_counters import Board


class Seat(msgspec.Struct, frozen=True):
    """Where a worker counts, and what tells whether it leaves because the server ends.

    A worker that is replaced by another one, after a reload or after ``max_requests``, leaves no less; but callers find
    the server where it was.
    """

    board: Board
    row: int
    is_leaving: Callable[[], bool]


_taken: list[Seat] = []


def take(board: Board, row: int, is_told_to_leave: Callable[[], bool]) -> None:
    """Have this process, a worker just forked, sit here; ``is_told_to_leave`` tells whether it was told to end."""
    reloads = board.reloads
    _taken[:] = [Seat(board, row, lambda: is_told_to_leave() and board.reloads == reloads)]


def seat_in_force() -> Seat:
    """Return this process's seat, the same ever after."""
    if not _taken:
        board = Board.blank(1)
        _taken.append(Seat(board, board.free_row(()), lambda: False))
    return _taken[0]
