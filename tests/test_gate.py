"""How many pages are under way at once."""

import gevent
import pytest
from gevent.event import Event

from app.errors import Overloaded
from app.origin.gate import Gate
from tests.clock import Clock


def most_inside(gate: Gate, callers: list[tuple[str, int]]) -> int:
    """Let callers, each a source and its concurrency, through the gate; return how many were inside at once."""
    inside, most = 0, 0

    def pass_through(source: str, concurrency: int) -> None:
        nonlocal inside, most
        with gate.admitted(source, concurrency, patience=9):
            inside += 1
            most = max(most, inside)
            gevent.sleep(0)
            inside -= 1

    gevent.joinall([gevent.spawn(pass_through, *caller) for caller in callers], raise_error=True)
    return most


def test_a_source_has_as_many_places_as_it_says() -> None:
    assert most_inside(Gate(100, clock=Clock()), [("a", 3)] * 20) == 3


def test_sources_have_places_of_their_own() -> None:
    assert most_inside(Gate(100, clock=Clock()), [("a", 3)] * 20 + [("b", 4)] * 20) == 7


def test_all_sources_together_have_the_total() -> None:
    assert most_inside(Gate(5, clock=Clock()), [("a", 4)] * 20 + [("b", 4)] * 20) == 5


def test_who_waits_for_a_full_source_does_not_hold_the_others_up() -> None:
    gate, go = Gate(2, clock=Clock()), Event()

    def stay() -> None:
        with gate.admitted("slow", 1, patience=9):
            go.wait()

    slow = [gevent.spawn(stay) for _ in range(5)]
    gevent.sleep(0)
    with gate.admitted("quick", 1, patience=0):
        go.set()
    gevent.joinall(slow, raise_error=True)


def test_patience_that_ends_is_overload() -> None:
    gate = Gate(2, clock=Clock())
    with (
        gate.admitted("a", 1, patience=9),
        pytest.raises(Overloaded, match="too many pages of a"),
        gate.admitted("a", 1, patience=0),
    ):
        pytest.fail("there was no place")


def test_a_place_comes_back_after_a_failure() -> None:
    gate = Gate(1, clock=Clock())
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), gate.admitted("a", 1, patience=0):
            raise ZeroDivisionError
