"""Counters in memory that several processes share."""

import os

import pytest

from app.telemetry.shared_counters import SharedCounters

CALLS, WAITERS = ("calls", "get_cover"), ("waiters",)


def counters_with(slots: int = 4) -> SharedCounters:
    counters = SharedCounters.create(slots)
    counters.add([CALLS, WAITERS])
    return counters


def add_calls(counters: SharedCounters, slot: int, amount: float) -> None:
    array, index = counters.locate(CALLS, slot)
    array[index] += amount


def test_counts_of_forked_processes_are_visible_to_all() -> None:
    counters = counters_with()
    slots = [counters.free_slot(range(slot)) for slot in range(2)]
    for slot in slots:
        child = os.fork()
        if child == 0:
            add_calls(counters, slot, 2.5 + slot)
            os._exit(0)
        os.waitpid(child, 0)
    assert counters.values(CALLS) == [2.5, 3.5]
    assert counters.values(WAITERS) == [0, 0]


def test_the_first_slot_that_is_not_taken_is_free() -> None:
    counters = counters_with()
    assert [counters.free_slot(taken) for taken in (set[int](), {0, 1}, {1, 2}, {0, 1, 2})] == [0, 2, 0, 3]


def test_the_last_slot_is_shared_if_all_are_taken() -> None:
    counters = counters_with(slots=2)
    assert counters.free_slot({0, 1}) == 1


def test_only_slots_that_were_in_use_are_read() -> None:
    """Reading the other slots would allocate their memory."""
    counters = counters_with(slots=1000)
    assert counters.values(CALLS) == []
    counters.free_slot({0, 1})
    assert len(counters.values(CALLS)) == 3


def test_adding_counters_does_not_change_existing_ones() -> None:
    counters = counters_with()
    add_calls(counters, counters.free_slot({0}), 7)
    counters.add([("new",), CALLS, ("newer",)])
    assert list(counters.keys) == [CALLS, WAITERS, ("new",), ("newer",)]
    assert [list(counters.values(key)) for key in counters.keys] == [[0, 7], [0, 0], [0, 0], [0, 0]]


def test_counters_made_from_the_state_of_others_share_their_memory() -> None:
    """After a reload, new code reads the memory that old code allocated."""
    first = counters_with()
    second = SharedCounters(first.state)
    second.add([("new",)])
    add_calls(second, second.free_slot(()), 7)
    second.count_reload()
    assert first.values(CALLS) == [7]
    assert first.reloads == 1
    assert second.values(("new",)) == [0]


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(KeyError):
        counters_with().locate(("unknown",), 0)
    with pytest.raises(KeyError):
        counters_with().values(("unknown",))
