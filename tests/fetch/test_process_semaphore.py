"""The semaphore that processes share."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.fetch.process_semaphore import ProcessSemaphore, default_lock_path
from tests.support.service import ROOT

#: A process that acquires all free slots of a key, prints their number, and waits.
ACQUIRING_PROCESS = """
import sys
from pathlib import Path
from app.fetch.process_semaphore import ProcessSemaphore

semaphore = ProcessSemaphore(Path(sys.argv[1]))
acquired = 0
while semaphore.acquire(sys.argv[2], int(sys.argv[3])) is not None:
    acquired += 1
print(acquired, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "places"


@pytest.fixture
def semaphore(path: Path) -> Iterator[ProcessSemaphore]:
    new_semaphore = ProcessSemaphore(path)
    yield new_semaphore
    new_semaphore.close()


def start_acquiring_process(path: Path, key: str, count: int) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", ACQUIRING_PROCESS, str(path), key, str(count)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_a_key_has_the_given_number_of_slots(semaphore: ProcessSemaphore) -> None:
    assert [semaphore.acquire("a", 3) is not None for _ in range(4)] == [True, True, True, False]


def test_each_key_has_its_own_slots(semaphore: ProcessSemaphore) -> None:
    assert semaphore.acquire("a", 1) is not None
    assert semaphore.acquire("b", 1) is not None


def test_a_released_slot_can_be_acquired_again(semaphore: ProcessSemaphore) -> None:
    slot = semaphore.acquire("a", 1)
    assert slot is not None
    semaphore.release(slot)
    assert semaphore.acquire("a", 1) == slot


def test_processes_share_the_slots(path: Path, semaphore: ProcessSemaphore) -> None:
    """A process can acquire only the slots that others do not hold."""
    assert semaphore.acquire("a", 5) is not None
    process, acquired = start_acquiring_process(path, "a", 5)
    with process:
        assert acquired == 4
        assert semaphore.acquire("a", 5) is None
        process.kill()


def test_the_slots_of_a_killed_process_are_released(path: Path, semaphore: ProcessSemaphore) -> None:
    process, acquired = start_acquiring_process(path, "a", 2)
    with process:
        assert (acquired, semaphore.acquire("a", 2)) == (2, None)
        process.kill()
    assert semaphore.acquire("a", 2) is not None


#: A process that waits for a slot of a key, says so, and stops waiting when it gets a line.
WAITING_PROCESS = """
import sys
from pathlib import Path
from app.fetch.process_semaphore import ProcessSemaphore

semaphore = ProcessSemaphore(Path(sys.argv[1]))
for waits in (True, False, True):
    (semaphore.start_waiting if waits else semaphore.stop_waiting)(sys.argv[2])
    print(waits, flush=True)
    sys.stdin.readline()
"""


def test_a_process_knows_whether_another_one_waits(path: Path, semaphore: ProcessSemaphore) -> None:
    """For a slot of the same key, whether it waits itself or not. A process that is killed waits no longer."""
    command = [sys.executable, "-c", WAITING_PROCESS, str(path), "a"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for expected in (True, False, True):
            assert process.stdout.readline() == f"{expected}\n"
            semaphore.start_waiting("a")
            assert [semaphore.is_awaited_elsewhere("a") for _ in range(2)] == [expected, expected]
            assert not semaphore.is_awaited_elsewhere("b")
            process.stdin.write("\n")
            process.stdin.flush()
        process.kill()
    assert not semaphore.is_awaited_elsewhere("a")


def test_the_end_of_waiting_releases_no_slot(path: Path, semaphore: ProcessSemaphore) -> None:
    """Neither a slot of the same key nor one of another key."""
    keys = [f"host {number}" for number in range(8)]
    for key in keys:
        assert semaphore.acquire(key, 1) is not None
    semaphore.start_waiting(keys[0])
    semaphore.stop_waiting(keys[0])
    for key in keys:
        process, acquired = start_acquiring_process(path, key, 1)
        process.communicate("")
        assert acquired == 0


def test_all_slots_of_a_key_can_be_acquired_while_another_process_waits(
    path: Path, semaphore: ProcessSemaphore
) -> None:
    """At the highest ``concurrency`` that a source may have."""
    semaphore.start_waiting("a")
    process, acquired = start_acquiring_process(path, "a", 1000)
    with process:
        assert acquired == 1000
        process.kill()


def test_the_file_stays_empty(path: Path, semaphore: ProcessSemaphore) -> None:
    semaphore.acquire("a", 1)
    assert path.stat().st_size == 0


def test_without_a_usable_file_each_process_has_its_own_slots(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    semaphore = ProcessSemaphore(tmp_path / "missing" / "places")
    assert "apply to each worker separately" in caplog.text
    assert [semaphore.acquire("a", 1) is not None for _ in range(2)] == [True, False]
    semaphore.start_waiting("a")
    assert not semaphore.is_awaited_elsewhere("a")
    semaphore.stop_waiting("a")


def test_a_symbolic_link_is_not_followed(tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In a folder that all users share, another user may have made the link."""
    path.symlink_to(tmp_path / "elsewhere")
    ProcessSemaphore(path)
    assert not (tmp_path / "elsewhere").exists()
    assert "cannot be used" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner of a file")
def test_a_file_of_another_user_is_not_used(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.touch()
    os.chown(path, 12345, 12345)
    ProcessSemaphore(path)
    assert "it belongs to another user" in caplog.text


def test_each_user_has_a_default_file() -> None:
    assert str(os.geteuid()) in default_lock_path().name
