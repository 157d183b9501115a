"""Answers that may be given again: to whom, for how long, and when not."""

import email.utils
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import gevent
import pytest

from app.server.response_cache import CachedResponse, ResponseCache
from tests.server.gunicorn_server import OURS, Answer, GunicornServer, one_answer, opened, request

NUMBERS = count()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    """A door with one worker, which nobody observes."""
    with opened(tmp_path_factory.mktemp("door"), OURS) as door:
        yield door


def body() -> bytes:
    """A body that nobody has sent before."""
    return b"%d" % next(NUMBERS)


def asked(door: GunicornServer, said: bytes, source: str = "127.0.0.1") -> bytes:
    """Say it on a connection of its own; return the answer, which tells how often the application was asked."""
    with door.connect(source) as connection:
        connection.sendall(said)
        return one_answer(connection).body


def told(answers: list[Answer], name: str) -> list[str]:
    """Return the values of a header in these answers."""
    beginning = f"{name}: ".lower()
    lines = [line for answer in answers for line in answer.headers if line.lower().startswith(beginning)]
    return [line.partition(": ")[2] for line in lines]


def known(door: GunicornServer, path: str) -> bytes:
    """Return a request whose head is known at the door."""
    said = request(path, body())
    asked(door, said)
    return said


def test_an_answer_is_given_again_to_the_same_bytes_on_any_connection(door: GunicornServer) -> None:
    said = known(door, "/again")
    assert len({asked(door, said) for _ in range(3)}) == 1


def test_other_bytes_are_another_request(door: GunicornServer) -> None:
    said = known(door, "/again")
    another_head = said.replace(b"Host: door", b"Host: Door")
    another_body = said[:-1] + bytes([said[-1] ^ 1])
    assert len({asked(door, one) for one in (said, another_head, another_body)}) == 3


def test_it_is_given_for_as_long_as_it_holds(door: GunicornServer) -> None:
    said = known(door, "/again?2")
    first, *others = [asked(door, said) for _ in range(6)]
    assert others[:2] == [first] * 2
    assert len({first, *others}) == 2
    assert others[2:5] == [others[2]] * 3


def test_one_header_has_a_value_of_its_own_each_time(door: GunicornServer) -> None:
    """It stands there once, and nothing else differs."""
    said, answers = known(door, "/again?9"), list[Answer]()
    with door.connect() as connection:
        for _ in range(4):
            connection.sendall(said)
            answers.append(one_answer(connection))
    assert told(answers, "X-Time") == ["1", "2", "3", "4"]
    others = {tuple(line for line in answer.headers if not line.lower().startswith("x-time")) for answer in answers}
    assert len(others) == 1
    assert len({answer.body for answer in answers}) == 1


def test_an_answer_of_which_nothing_is_said_is_not_given_again(door: GunicornServer) -> None:
    said = known(door, "/count")
    with door.connect() as connection:
        for _ in range(3):
            connection.sendall(said)
            assert one_answer(connection).body == str(len(said.partition(b"\r\n\r\n")[2])).encode()


def test_an_answer_in_pieces_is_not_given_again(door: GunicornServer) -> None:
    said = known(door, "/again-in-two")
    assert len({asked(door, said) for _ in range(3)}) == 3


def test_an_answer_at_whose_end_the_application_failed_is_not_given_again(door: GunicornServer) -> None:
    """Each time it is asked, so each time the log has why."""
    said = known(door, "/again-failing")
    assert len({asked(door, said) for _ in range(3)}) == 3


def test_peers_that_are_trusted_less_have_answers_of_their_own(door: GunicornServer) -> None:
    """What a head may say of its way depends on who sends it."""
    said = known(door, "/again")
    trusted = asked(door, said)
    asked(door, said, "127.0.0.2")
    other = asked(door, said, "127.0.0.2")
    assert other != trusted
    assert asked(door, said) == trusted
    assert asked(door, said, "127.0.0.2") == other


def test_pipelined_requests_are_answered_in_their_order(door: GunicornServer) -> None:
    """Those that may be given an answer again are, wherever they stand."""
    said, other = known(door, "/again"), request("/count", b"12345")
    expected = asked(door, said)
    answers = door.say(said + said + other + said)
    assert [answer.body for answer in answers] == [expected, expected, b"5", expected]


def test_head_and_body_may_come_apart(door: GunicornServer) -> None:
    """As many clients send them."""
    said = known(door, "/again")
    expected = asked(door, said)
    with door.connect() as connection:
        for cut in (len(said) - 1, said.index(b"\r\n\r\n") + 4):
            connection.sendall(said[:cut])
            gevent.sleep(0.01)
            connection.sendall(said[cut:])
            assert one_answer(connection).body == expected


def test_one_that_cannot_tell_whether_it_holds_does_not(door: GunicornServer) -> None:
    said = known(door, "/again-raising")
    assert len({asked(door, said) for _ in range(3)}) == 3
    assert door.tells("Error checking whether a cached response is valid")


def test_its_date_is_of_today(door: GunicornServer) -> None:
    said = known(door, "/again")
    asked(door, said)
    with door.connect() as connection:
        connection.sendall(said)
        heard = connection.recv(65_536).decode()
    date = next(line for line in heard.splitlines() if line.startswith("Date: "))
    told = email.utils.parsedate_to_datetime(date.removeprefix("Date: "))
    assert abs(told.timestamp() - time.time()) < 2


OBSERVERS = [
    ("--access-logfile", "-"),
    ("--log-level", "debug"),
    ("--statsd-host", "127.0.0.1:9"),
    ("--logger-class", "app.telemetry.logs.Logger", "--access-logfile", "-"),
    ("--logger-class", "app.telemetry.logs.Logger", "--statsd-host", "127.0.0.1:9"),
]


@pytest.mark.parametrize("option", OBSERVERS)
def test_where_somebody_is_to_hear_of_each_request_the_application_is_asked(
    tmp_path: Path, option: tuple[str, ...]
) -> None:
    with opened(tmp_path, OURS, *option) as door:
        said = known(door, "/again")
        assert len({asked(door, said) for _ in range(3)}) == 3


def test_the_services_own_logger_does_not_ask_to_hear_of_each(tmp_path: Path) -> None:
    with opened(tmp_path, OURS, "--logger-class", "app.telemetry.logs.Logger") as door:
        said = known(door, "/again")
        assert len({asked(door, said) for _ in range(3)}) == 1


def test_hooks_hear_of_each_request(tmp_path: Path) -> None:
    with opened(tmp_path, OURS, "-c", str(Path(__file__).with_name("hooks.py"))) as door:
        said = known(door, "/again")
        assert len({asked(door, said) for _ in range(3)}) == 3
        door.process.terminate()
        door.process.wait(20)
        assert door.log.read_text("utf-8").count("done POST /again") == 4


def test_they_count_among_max_requests(tmp_path: Path) -> None:
    """The last one says that the connection ends, and it ends."""
    with opened(tmp_path, OURS, "--max-requests", "6") as door:
        answers = []
        with door.connect() as connection:
            for _ in range(6):
                connection.sendall(request("/again", b"1"))
                answers.append(one_answer(connection))
            assert connection.recv(1) == b""
    assert ["Connection: close" in answer.headers for answer in answers] == [False] * 5 + [True]
    assert {answer.body for answer in answers[1:]} == {b"asked 2"}


def test_answers_are_bounded_by_their_bytes() -> None:
    """The first one kept is the first to go."""
    repeats = ResponseCache(3000)
    for number in range(5):
        for _ in range(2):
            repeats.put(b"%d" % number, CachedResponse(b"before", b"", b"behind", bytes))
    assert [repeats.get(b"%d" % number) is not None for number in range(5)] == [False, False, True, True, True]
    repeats.put(b"long" * 1000, CachedResponse(b"", b"", b"", bytes))
    assert len(repeats) == 0
    for number in range(100):
        repeats.put(b"%d" % number, CachedResponse(b"", b"", b"", bytes))
        repeats.drop(b"%d" % number)
    repeats.put(b"1", CachedResponse(b"before", b"", b"behind", bytes))
    assert len(repeats) == 1
