"""A worker's seat in its server."""

import pytest

from app.telemetry import worker_slot
from app.telemetry.shared_counters import Board


@pytest.fixture(autouse=True)
def newly_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody sit here."""
    monkeypatch.setattr(worker_slot, "_taken", [])


def test_who_has_no_server_sits_by_himself() -> None:
    own = worker_slot.seat_in_force()
    own.board.add([("calls",)])
    assert own.board.column(("calls",)) == [0]
    assert not own.is_leaving()
    assert worker_slot.seat_in_force() is own


def test_the_seat_is_what_was_taken_last() -> None:
    board = Board.blank(4)
    worker_slot.take(board, 2, lambda: False)
    worker_slot.take(board, 3, lambda: False)
    assert (worker_slot.seat_in_force().board, worker_slot.seat_in_force().row) == (board, 3)


def test_a_worker_leaves_with_the_server_when_it_is_told_to() -> None:
    told = False
    worker_slot.take(Board.blank(1), 0, lambda: told)
    assert not worker_slot.seat_in_force().is_leaving()
    told = True
    assert worker_slot.seat_in_force().is_leaving()


def test_a_worker_that_is_told_to_leave_at_a_reload_is_replaced() -> None:
    board = Board.blank(1)
    board.reload()
    worker_slot.take(board, 0, lambda: True)
    assert worker_slot.seat_in_force().is_leaving()
    board.reload()
    assert not worker_slot.seat_in_force().is_leaving()
