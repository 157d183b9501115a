"""A worker that leaves answers what has been asked, and does not wait for those who ask nothing."""

import signal
import time
from contextlib import ExitStack
from pathlib import Path

import gevent

from tests.server.gunicorn_server import OURS, everything, one_answer, opened, request, wait_until
from tests.support.processes import stopped

PLAIN = request("/echo", b"12345")


def test_idle_connections_do_not_delay_it(tmp_path: Path) -> None:
    with opened(tmp_path, OURS, "--keep-alive", "60") as door, ExitStack() as stack:
        idle = [stack.enter_context(door.connect()) for _ in range(20)]
        for connection in idle[:10]:
            connection.sendall(PLAIN)
            assert one_answer(connection).code == 200
        door.hit()
        began = time.monotonic()
        door.process.send_signal(signal.SIGTERM)
        assert door.process.wait(10) == 0
        assert time.monotonic() - began < 2  # the master looks for its workers' end every 0.1 seconds
        assert everything(idle[0]) == b""


def test_requests_under_way_are_answered(tmp_path: Path) -> None:
    """Be it that their body is still to come, that it has come and nobody has read it, or that they come just then."""
    with opened(tmp_path, OURS, "--keep-alive", "60") as door, ExitStack() as stack:
        half, unread, late = (stack.enter_context(door.connect()) for _ in range(3))
        for connection in (unread, late):
            connection.sendall(PLAIN)
            one_answer(connection)
        half.sendall(PLAIN[:-2])
        door.hit()
        (worker,) = door.workers()
        with stopped(worker):
            unread.sendall(PLAIN)
            door.process.send_signal(signal.SIGTERM)
            wait_until(lambda: door.tells("Handling signal: term"), "the signal is handled")
        late.sendall(PLAIN)
        gevent.sleep(0.7)  # by now nothing else is waited for
        half.sendall(PLAIN[-2:])
        assert "Connection: close" in one_answer(half).headers
        assert one_answer(unread).code == one_answer(late).code == 200
        assert door.process.wait(10) == 0


def test_reloading_under_load_is_not_noticed(tmp_path: Path) -> None:
    """Clients that keep their connections and reconnect when told to see no error."""
    with opened(tmp_path, OURS, "-w", "2") as door:
        door.hit()
        before = door.workers()
        done = False

        def ask_on_and_on() -> int:
            count = 0
            while not done:
                with door.connect() as connection:
                    keeps = True
                    while keeps and not done:
                        connection.sendall(PLAIN)
                        answer = one_answer(connection)
                        assert answer.code == 200
                        keeps = "Connection: close" not in answer.headers
                        count += 1
            return count

        asking = [gevent.spawn(ask_on_and_on) for _ in range(4)]
        door.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(door.workers()) == 2 and not door.workers() & before, "all workers are new")
        done = True
        assert all(greenlet.get() > 0 for greenlet in asking)


def test_a_long_request_does_not_keep_others_out_when_max_requests_are_reached(tmp_path: Path) -> None:
    """The only worker accepts until nothing is under way."""
    with opened(tmp_path, OURS, "--max-requests", "5") as door, door.connect() as long:
        door.hit()
        (first,) = door.workers()
        long.sendall(PLAIN[:-1])
        assert max(door.hit() for _ in range(10)) < 1
        assert door.workers() == {first}
        long.sendall(PLAIN[-1:])
        assert one_answer(long).code == 200
        assert door.hit() < 3  # for that long nobody listens: a worker leaves, the next one starts
        wait_until(lambda: first not in door.workers(), "it has left")


def test_the_request_that_reaches_max_requests_is_told_so(tmp_path: Path) -> None:
    with opened(tmp_path, OURS, "--max-requests", "3") as door, door.connect() as connection:
        said = []
        for _ in range(3):
            connection.sendall(PLAIN)
            said.append("Connection: close" in one_answer(connection).headers)
        assert said == [False, False, True]
        assert everything(connection) == b""
