"""The slot of a worker in the shared counters."""

import pytest

from app.store.purge_log import allocate
from app.telemetry import worker_slot
from app.telemetry.shared_counters import SharedCounters


@pytest.fixture(autouse=True)
def unassigned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without an assigned slot, as in a new process."""
    monkeypatch.setattr(worker_slot, "_assigned", [])


def test_a_process_without_an_assigned_slot_gets_counters_of_its_own() -> None:
    own = worker_slot.current_slot()
    own.counters.add([("calls",)])
    assert own.counters.values(("calls",)) == [0]
    assert not own.is_shutting_down()
    assert worker_slot.current_slot() is own


def test_the_last_assignment_counts() -> None:
    counters, purges = SharedCounters.create(4), allocate(4)
    worker_slot.assign(counters, purges, 2, lambda: False)
    worker_slot.assign(counters, purges, 3, lambda: False)
    assert (worker_slot.current_slot().counters, worker_slot.current_slot().index) == (counters, 3)


def test_workers_with_different_slots_share_the_purge_log() -> None:
    counters, purges = SharedCounters.create(4), allocate(4)
    worker_slot.assign(counters, purges, 2, lambda: False)
    one = worker_slot.current_slot().purge_log
    worker_slot.assign(counters, purges, 3, lambda: False)
    two = worker_slot.current_slot().purge_log
    one.add("ozon:1")
    two.add("ozon:2")
    assert (one.purged_keys(["ozon:1", "ozon:2"]), two.purged_keys(["ozon:1", "ozon:2"])) == (["ozon:2"], ["ozon:1"])


def test_a_worker_that_is_told_to_stop_is_shutting_down() -> None:
    stop_requested = False
    worker_slot.assign(SharedCounters.create(1), allocate(1), 0, lambda: stop_requested)
    assert not worker_slot.current_slot().is_shutting_down()
    stop_requested = True
    assert worker_slot.current_slot().is_shutting_down()


def test_a_worker_that_is_told_to_stop_after_a_reload_is_not_shutting_down() -> None:
    """Another worker replaces it."""
    counters = SharedCounters.create(1)
    counters.count_reload()
    worker_slot.assign(counters, allocate(1), 0, lambda: True)
    assert worker_slot.current_slot().is_shutting_down()
    counters.count_reload()
    assert not worker_slot.current_slot().is_shutting_down()
