"""Tests of the purge log, which the workers of one server share."""

import os

import pytest
from gevent.monkey import get_original

from app.store.purge_log import ENTRIES, PurgeLog, allocate


def logs(count: int) -> list[PurgeLog]:
    """Return the log as so many workers see it."""
    memory = allocate(count)
    return [PurgeLog(memory, part) for part in range(count)]


def test_a_key_is_purged_since_any_earlier_position_and_not_since_a_later_one() -> None:
    """Whichever worker has forgotten it, and to whichever worker it matters."""
    one, two = logs(2)
    before = one.position()
    one.add("shop:1")
    between = two.position()
    two.add("shop:2")
    for log in (one, two):
        assert log.is_purged("shop:1", before)
        assert not log.is_purged("shop:1", between)
        assert log.is_purged("shop:2", before)
        assert log.is_purged("shop:2", between)
        assert not log.is_purged("shop:2", log.position())
        assert not log.is_purged("shop:3", before)


def test_each_worker_reads_what_the_others_have_forgotten_once() -> None:
    """What a worker has forgotten itself is not reported to it: its memory may have a new record by now."""
    one, two, three = logs(3)
    keys = ["shop:1", "shop:2", "shop:3"]
    one.add("shop:1")
    two.add("shop:2")
    assert one.purged_keys(keys) == ["shop:2"]
    assert two.purged_keys(keys) == ["shop:1"]
    assert three.purged_keys(keys) == ["shop:1", "shop:2"]
    assert [log.purged_keys(keys) for log in (one, two, three)] == [[], [], []]


def test_an_unread_key_is_known_before_it_is_read() -> None:
    one, two = logs(2)
    one.add("shop:1")
    assert two.has_unread("shop:1")
    assert not two.has_unread("shop:2")
    assert not one.has_unread("shop:1")
    two.purged_keys([])
    assert not two.has_unread("shop:1")


def test_a_purge_of_its_own_does_not_hide_those_of_a_worker_that_has_the_same_part() -> None:
    """If all parts are taken, the last one is shared. An earlier version skipped what it had not read."""
    memory = allocate(1)
    one, two = PurgeLog(memory, 0), PurgeLog(memory, 0)
    one.add("shop:1")
    two.add("shop:2")
    assert two.has_unread("shop:1")
    assert two.purged_keys(["shop:1"]) == ["shop:1"]


def test_a_worker_that_has_forgotten_a_key_still_reads_the_purges_of_all_others() -> None:
    one, two, three = logs(3)
    one.add("shop:1")
    three.add("shop:3")
    two.add("shop:2")
    assert one.purged_keys(["shop:1", "shop:2", "shop:3"]) == ["shop:2", "shop:3"]


def test_the_memory_has_room_for_each_part() -> None:
    assert len(PurgeLog.create().position()) == 1
    assert [len(log.position()) for log in logs(300)] == [300] * 300


def test_a_purge_that_becomes_visible_late_is_not_missed() -> None:
    """A worker may be suspended while it writes. An earlier version compared times, and had passed that one already."""
    one, two = logs(2)
    before = two.position()
    memory = one._memory
    memory[one._entry(0, 0)] = hash("shop:1") & ((1 << 53) - 1)  # suspended here, before the entry counts
    assert two.purged_keys(["shop:1"]) == []
    since = two.position()
    memory[0] += 1
    assert two.is_purged("shop:1", before)
    assert two.is_purged("shop:1", since)
    assert two.purged_keys(["shop:1"]) == ["shop:1"]


@pytest.mark.parametrize("others", [0, ENTRIES - 2, ENTRIES - 1, ENTRIES, 3 * ENTRIES])
def test_a_purge_is_not_missed_however_many_follow(others: int) -> None:
    """If entries were overwritten, every key counts as purged."""
    one, two = logs(2)
    before = two.position()
    one.add("shop:0")
    for number in range(others):
        one.add(f"shop:{number + 1}")
    assert two.is_purged("shop:0", before)
    assert two.is_purged("another", before) == (others + 1 >= ENTRIES)
    assert two.purged_keys(["shop:0"]) == ["shop:0"]
    assert two.purged_keys(["shop:0"]) == []


def test_the_entries_of_the_present_position_are_kept_over_many_rounds() -> None:
    one, two = logs(2)
    for number in range(3 * ENTRIES):
        before = two.position()
        one.add(f"shop:{number}")
        assert two.is_purged(f"shop:{number}", before)
        assert not two.is_purged(f"shop:{number - 1}", before)


def test_a_new_worker_continues_the_part_of_an_earlier_one() -> None:
    """It has read nothing, since its memory is empty. The others still see what the earlier one has forgotten."""
    memory = allocate(2)
    two = PurgeLog(memory, 1)
    before = two.position()
    PurgeLog(memory, 0).add("shop:1")
    one = PurgeLog(memory, 0)
    assert not one.has_unread("shop:1")
    one.add("shop:2")
    assert two.purged_keys(["shop:1", "shop:2", "shop:3"]) == ["shop:1", "shop:2"]
    assert two.is_purged("shop:1", before)


def test_a_forked_process_writes_to_the_same_log() -> None:
    one, two = logs(2)
    before = one.position()
    child = get_original("os", "fork")()
    if not child:
        two.add("shop:1")
        os._exit(0)
    assert get_original("os", "waitpid")(child, 0)[1] == 0
    assert one.is_purged("shop:1", before)
    assert one.purged_keys(["shop:1", "shop:2"]) == ["shop:1"]
