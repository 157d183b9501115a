"""Who is let in when places or file descriptors have run out."""

import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from tests.server.gunicorn_server import OURS, QUICK, everything, one_answer, opened, request, wait_until

PLACES = 5
FEW = ("--keep-alive", "60", "--worker-connections", str(PLACES))


@pytest.mark.parametrize(
    "beginning", [b"", b"POST /ec", b"POST /echo HTTP/1.1\r\nHost: door\r\nContent-Length: 1000000\r\n\r\n"]
)
def test_who_waits_longest_gives_way_when_all_places_are_taken(tmp_path: Path, beginning: bytes) -> None:
    """Peers that do not ask, or not to the end, cannot keep those out who do."""
    with opened(tmp_path, OURS, *FEW) as door, ExitStack() as stack:
        door.hit()
        for _ in range(2 * PLACES):
            stack.enter_context(door.connect()).sendall(beginning)
        assert max(door.hit() for _ in range(5)) < 1


def test_who_came_when_all_were_answered_is_let_in_as_soon_as_one_waits(tmp_path: Path) -> None:
    """A connection that has had its answer does not keep its place from those who wait for one."""
    file = tmp_path / "held"
    file.touch()
    with opened(tmp_path, OURS, *FEW) as door, ExitStack() as stack:
        held = list[socket.socket]()
        for _ in range(PLACES):
            held.append(stack.enter_context(door.connect()))
            held[-1].sendall(request(f"/held?{file}"))
            wait_until(lambda: len(set(file.read_text("utf-8").split())) == len(held), "it is held")
        late = stack.enter_context(door.connect())
        late.sendall(request("/echo"))
        size = file.stat().st_size
        wait_until(lambda: file.stat().st_size > size + 300, "the worker has had many turns to find that it is full")
        file.unlink()
        assert [one_answer(connection).body for connection in held] == [b"held no more"] * PLACES
        assert one_answer(late).code == 200


def test_places_are_those_of_all_listeners(tmp_path: Path) -> None:
    """Peers that wait at one of them keep nobody out at another."""
    with socket.create_server(("127.0.0.1", 0)) as other, ExitStack() as stack:
        door = stack.enter_context(opened(tmp_path, OURS, *FEW, others=[other]))
        door.hit()
        for _ in range(PLACES - 1):
            stack.enter_context(socket.create_connection(other.getsockname()))
        for _ in range(2 * PLACES):
            stack.enter_context(door.connect())
        assert max(door.hit() for _ in range(5)) < 1


def test_without_file_descriptors_peers_that_do_not_ask_are_turned_away(tmp_path: Path) -> None:
    """Those who ask are answered, and the worker does not spin."""
    with opened(tmp_path, QUICK, "--keep-alive", "5") as door:
        door.hit()
        (worker,) = door.workers()
        limit = max(int(path.name) for path in Path(f"/proc/{worker}/fd").iterdir()) + 10
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (limit, limit))
        with ExitStack() as stack:
            held = [stack.enter_context(door.connect()) for _ in range(3 * limit)]
            assert max(door.hit() for _ in range(5)) < 1
            assert everything(held[0]) == b""
            began = cpu_seconds(worker)
            gevent.sleep(0.5)
            assert cpu_seconds(worker) - began < 0.25
        assert door.tells("No file descriptors are left")


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
