"""A worker's seat in its server."""

import pytest

from app.telemetry import worker_slot
from app.telemetry.shared_counters import SharedCounters


@pytest.fixture(autouse=True)
def newly_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody sit here."""
    monkeypatch.setattr(worker_slot, "_assigned", [])


def test_who_has_no_server_sits_by_himself() -> None:
    own = worker_slot.current_slot()
    own.counters.add([("calls",)])
    assert own.counters.values(("calls",)) == [0]
    assert not own.is_shutting_down()
    assert worker_slot.current_slot() is own


def test_the_seat_is_what_was_taken_last() -> None:
    board = SharedCounters.create(4)
    worker_slot.assign(board, 2, lambda: False)
    worker_slot.assign(board, 3, lambda: False)
    assert (worker_slot.current_slot().counters, worker_slot.current_slot().index) == (board, 3)


def test_a_worker_leaves_with_the_server_when_it_is_told_to() -> None:
    told = False
    worker_slot.assign(SharedCounters.create(1), 0, lambda: told)
    assert not worker_slot.current_slot().is_shutting_down()
    told = True
    assert worker_slot.current_slot().is_shutting_down()


def test_a_worker_that_is_told_to_leave_at_a_reload_is_replaced() -> None:
    board = SharedCounters.create(1)
    board.count_reload()
    worker_slot.assign(board, 0, lambda: True)
    assert worker_slot.current_slot().is_shutting_down()
    board.count_reload()
    assert not worker_slot.current_slot().is_shutting_down()
