"""The hub: turns by key, and work in threads."""

import gevent
import pytest

from app.hub import Turns, in_thread


def test_one_has_the_turn_of_a_key_and_others_wait() -> None:
    turns, order = Turns(), list[str]()

    def work(key: str, name: str) -> None:
        with turns.of(key):
            order.append(f"{name} begins")
            gevent.sleep(0)
            order.append(f"{name} ends")

    gevent.joinall([gevent.spawn(work, "a", "one"), gevent.spawn(work, "a", "two")], raise_error=True)
    assert order == ["one begins", "one ends", "two begins", "two ends"]


def test_keys_have_turns_of_their_own() -> None:
    turns = Turns()
    with turns.of("a"), turns.of("b", 0):
        assert len(turns._turns) == 2


def test_a_turn_that_does_not_come_in_time_is_told() -> None:
    turns = Turns()
    with turns.of("a"), pytest.raises(TimeoutError), turns.of("a", 0):
        pytest.fail("it was somebody else's turn")


def test_who_gives_up_does_not_end_the_turn_of_another() -> None:
    turns = Turns()
    with turns.of("a"):
        for _ in range(2):
            with pytest.raises(TimeoutError), turns.of("a", 0):
                pytest.fail("it was somebody else's turn")


def test_nothing_is_kept_of_keys_that_nobody_has() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.of("a"):
        raise ZeroDivisionError
    assert turns._turns == {}


def test_what_a_thread_raises_is_raised_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        in_thread(lambda: 1 // 0)
    assert capfd.readouterr().err == ""
