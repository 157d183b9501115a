"""The demo as its users run it: the whole program, its summary, and how it ends."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.demo import ROOT
from tests.support.processes import living

COMMAND = [sys.executable, "-m", "demo"]
LAST_LINE = "Both serve on until you press Ctrl-C.\n"


def environment(tmp_path: Path, **extra: str) -> Mapping[str, str]:
    """Our environment, with a place of its own for the demo's temporary files."""
    return os.environ | {"TMPDIR": str(tmp_path)} | extra


@contextmanager
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo in a session of its own, as a terminal would give it; killed if the test fails."""
    running = subprocess.Popen(
        [*COMMAND, "--delay", "0.02"],
        cwd=ROOT,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with running:
        try:
            yield running
        finally:
            running.kill()


def read_until(running: subprocess.Popen[str], line: str) -> str:
    """The demo's output up to the line that begins so."""
    assert running.stdout is not None
    seen = []
    for text in running.stdout:
        seen.append(text)
        if text.startswith(line):
            return "".join(seen)
    pytest.fail("the demo ended early:\n" + "".join(seen) + running.communicate()[1])


def members(session: int) -> list[int]:
    """Return the processes of a session that still live."""
    return [process.pid for process in living() if process.session == session]


def assert_nothing_is_left(running: subprocess.Popen[str], tmp_path: Path) -> None:
    """Neither a process nor a file."""
    assert members(running.pid) == []
    assert list(tmp_path.iterdir()) == []


def test_the_summary_has_the_numbers_of_the_shop(tmp_path: Path) -> None:
    """Every record is found with its own cover, what is missing is missing, and each page is fetched once.

    Also by whoever has a service of their own configured in the shell.
    """
    elsewhere = environment(
        tmp_path,
        COVERS_CONFIG="/nowhere.toml",
        COVERS_STORE="redis://127.0.0.1:1/0",
        COVERS_WORKERS="no number",
        GUNICORN_CMD_ARGS="--workers 3",
        http_proxy="http://127.0.0.1:1",
    )
    ended = subprocess.run(
        [*COMMAND, "--once"], cwd=ROOT, env=elsewhere, capture_output=True, text=True, check=False, timeout=50
    )
    assert ended.stderr == ""
    counted = "292 found, 20 missing (fault 404: 12 not in the shop, 8 without a picture)"
    assert ended.stdout.count(counted) == 3
    assert "Cold: get_cover for 312 ids, 64 clients at once" in ended.stdout
    assert ended.stdout.count("the shop served 312 pages: one per id") == 1
    assert ended.stdout.count("the shop served no page") == 2
    assert re.search(
        r"^  \d+ -> http://127\.0\.0\.1:\d+/multimedia/audio_cd_covers/\d+\.jpg$", ended.stdout, re.MULTILINE
    )
    assert ": 200 image/svg+xml, " in ended.stdout
    assert "failed" not in ended.stdout
    assert ended.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_what_it_invites_to_works(tmp_path: Path) -> None:
    """The Python line of the summary can be pasted as it stands; the web page and a cover are where it says."""
    with demo(tmp_path) as running:
        said = read_until(running, LAST_LINE)
        line = re.search(r"^  python3 -c '(.*)'$", said, re.MULTILINE)
        assert line is not None
        answer = subprocess.run([sys.executable, "-c", line[1]], capture_output=True, text=True, check=True, timeout=20)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/multimedia/audio_cd_covers/\d+\.jpg\n", answer.stdout)
        told = dict(re.findall(r"^  (the web page|one cover|with some covers) .*?(http\S+)$", said, re.MULTILINE))
        assert open_url(told["the web page"]).startswith(b"<!doctype html>")
        assert b"<svg" in open_url(told["one cover"])
        assert re.fullmatch(rf"{told['the web page']}#ids=(\d+,){{11}}\d+", told["with some covers"])
        running.send_signal(signal.SIGTERM)
        assert running.wait(15) == 0


def open_url(url: str) -> bytes:
    """What is at an address, past any proxy."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as answer:
        return bytes(answer.read())


def test_a_signal_while_it_looks_up_ends_all_of_it_quietly(tmp_path: Path) -> None:
    """With status 0, nothing said and nothing left."""
    with demo(tmp_path) as running:
        read_until(running, "A sample shop")
        os.killpg(running.pid, signal.SIGHUP)
        _, errors = running.communicate(timeout=15)
        assert (running.returncode, errors) == (0, "")
        assert_nothing_is_left(running, tmp_path)


def test_an_impatient_ctrl_c_changes_nothing(tmp_path: Path) -> None:
    """Further signals during the ending neither break it off nor are heard of."""
    with demo(tmp_path) as running:
        read_until(running, LAST_LINE)
        for _ in range(20):
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGINT)
            time.sleep(0.02)
        _, errors = running.communicate(timeout=15)
        assert (running.returncode, errors) == (0, "")
        assert_nothing_is_left(running, tmp_path)


def test_nothing_outlives_a_demo_that_was_killed(tmp_path: Path) -> None:
    """SIGKILL leaves the demo no time to clean up; its processes end all the same."""
    with demo(tmp_path) as running:
        read_until(running, LAST_LINE)
        assert len(members(running.pid)) >= 4
        running.kill()
        until = time.monotonic() + 20
        while members(running.pid) and time.monotonic() < until:
            time.sleep(0.1)
        assert members(running.pid) == []
