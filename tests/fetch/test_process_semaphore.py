"""Places that processes share."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.fetch.process_semaphore import ProcessSemaphore, default_lock_path
from tests.support.service import ROOT

#: A process that takes places of a key until there are none, says how many, and waits for its end.
TAKER = """
import sys
from pathlib import Path
from app.fetch.process_semaphore import ProcessSemaphore

places = ProcessSemaphore(Path(sys.argv[1]))
taken = 0
while places.acquire(sys.argv[2], int(sys.argv[3])) is not None:
    taken += 1
print(taken, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "places"


@pytest.fixture
def places(path: Path) -> Iterator[ProcessSemaphore]:
    opened = ProcessSemaphore(path)
    yield opened
    opened.close()


def taker(path: Path, key: str, count: int) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", TAKER, str(path), key, str(count)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_a_key_has_as_many_places_as_it_is_said_to_have(places: ProcessSemaphore) -> None:
    assert [places.acquire("a", 3) is not None for _ in range(4)] == [True, True, True, False]


def test_keys_have_places_of_their_own(places: ProcessSemaphore) -> None:
    assert places.acquire("a", 1) is not None
    assert places.acquire("b", 1) is not None


def test_a_place_that_was_given_back_can_be_taken_again(places: ProcessSemaphore) -> None:
    place = places.acquire("a", 1)
    assert place is not None
    places.release(place)
    assert places.acquire("a", 1) == place


def test_processes_share_them(path: Path, places: ProcessSemaphore) -> None:
    """What one process leaves, another gets, and no more."""
    assert places.acquire("a", 5) is not None
    process, taken = taker(path, "a", 5)
    with process:
        assert taken == 4
        assert places.acquire("a", 5) is None
        process.kill()


def test_a_process_that_is_killed_gives_its_places_back(path: Path, places: ProcessSemaphore) -> None:
    process, taken = taker(path, "a", 2)
    with process:
        assert (taken, places.acquire("a", 2)) == (2, None)
        process.kill()
    assert places.acquire("a", 2) is not None


def test_nothing_is_ever_written_to_the_file(path: Path, places: ProcessSemaphore) -> None:
    places.acquire("a", 1)
    assert path.stat().st_size == 0


def test_a_file_that_cannot_be_used_leaves_each_process_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    places = ProcessSemaphore(tmp_path / "missing" / "places")
    assert "apply to each worker separately" in caplog.text
    assert [places.acquire("a", 1) is not None for _ in range(2)] == [True, False]


def test_a_link_is_not_followed(tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In a folder of everybody's, it may lead to a file that somebody else has put there."""
    path.symlink_to(tmp_path / "elsewhere")
    ProcessSemaphore(path)
    assert not (tmp_path / "elsewhere").exists()
    assert "cannot be used" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_somebody_elses_file_is_not_used(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.touch()
    os.chown(path, 12345, 12345)
    ProcessSemaphore(path)
    assert "it belongs to another user" in caplog.text


def test_the_default_file_is_the_users_own() -> None:
    assert str(os.geteuid()) in default_lock_path().name
