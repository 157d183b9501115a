"""The demo as a program: its summary, and how it ends."""

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
from tests.support.processes import running_processes

COMMAND = [sys.executable, "-m", "demo"]
LAST_LINE = "The shop and the service keep running until you press Ctrl-C.\n"


def environment(tmp_path: Path, **extra: str) -> Mapping[str, str]:
    """Return this process's environment, with a separate directory for the demo's temporary files."""
    return os.environ | {"TMPDIR": str(tmp_path)} | extra


@contextmanager
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the demo in its own session, as a terminal does; kill it at the end of the block."""
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
    """Return the demo's output up to the line that begins with `line`."""
    assert running.stdout is not None
    output = []
    for text in running.stdout:
        output.append(text)
        if text.startswith(line):
            return "".join(output)
    pytest.fail("the demo ended early:\n" + "".join(output) + running.communicate()[1])


def processes_of(session: int) -> list[int]:
    """Return the ids of the running processes of a session."""
    return [process.pid for process in running_processes() if process.session == session]


def assert_cleaned_up(running: subprocess.Popen[str], tmp_path: Path) -> None:
    """Assert that the demo has left no process and no file."""
    assert processes_of(running.pid) == []
    assert list(tmp_path.iterdir()) == []


def test_the_summary_has_the_numbers_of_the_shop(tmp_path: Path) -> None:
    """Every record is found with its own cover, and each page is fetched once.

    Environment variables that configure another instance of the service have no effect.
    """
    configured_environment = environment(
        tmp_path,
        COVERS_CONFIG="/nowhere.toml",
        COVERS_STORE="redis://127.0.0.1:1/0",
        COVERS_WORKERS="no number",
        GUNICORN_CMD_ARGS="--workers 3",
        http_proxy="http://127.0.0.1:1",
    )
    done = subprocess.run(
        [*COMMAND, "--once"],
        cwd=ROOT,
        env=configured_environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.stderr == ""
    counts = "292 found, 20 missing (fault 404: 12 not in the shop, 8 without a picture)"
    assert done.stdout.count(counts) == 3
    assert "Cold: get_cover for 312 ids, 64 concurrent clients" in done.stdout
    assert done.stdout.count("the shop served 312 pages: one per id") == 1
    assert done.stdout.count("the shop served no pages") == 2
    assert re.search(
        r"^  \d+ -> http://127\.0\.0\.1:\d+/multimedia/audio_cd_covers/\d+\.jpg$", done.stdout, re.MULTILINE
    )
    assert ": 200 image/svg+xml, " in done.stdout
    assert "failed" not in done.stdout
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_the_suggested_commands_and_urls_work(tmp_path: Path) -> None:
    """The Python command can be pasted, and the web page and a cover are at the printed URLs."""
    with demo(tmp_path) as running:
        output = read_until(running, LAST_LINE)
        line = re.search(r"^  python3 -c '(.*)'$", output, re.MULTILINE)
        assert line is not None
        printed = subprocess.run(
            [sys.executable, "-c", line[1]], capture_output=True, text=True, check=True, timeout=20
        )
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/multimedia/audio_cd_covers/\d+\.jpg\n", printed.stdout)
        urls = dict(re.findall(r"^  (the web page|one cover|with some covers) .*?(http\S+)$", output, re.MULTILINE))
        assert open_url(urls["the web page"]).startswith(b"<!doctype html>")
        assert b"<svg" in open_url(urls["one cover"])
        assert re.fullmatch(rf"{urls['the web page']}#ids=(\d+,){{11}}\d+", urls["with some covers"])
        running.send_signal(signal.SIGTERM)
        assert running.wait(15) == 0


def open_url(url: str) -> bytes:
    """Return the body of the response for a URL, without the environment's proxy."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as response:
        return bytes(response.read())


def test_a_signal_during_the_lookups_ends_the_demo_silently(tmp_path: Path) -> None:
    """With status 0, no error messages, and no process or file left."""
    with demo(tmp_path) as running:
        read_until(running, "A sample shop")
        os.killpg(running.pid, signal.SIGHUP)
        _, errors = running.communicate(timeout=15)
        assert (running.returncode, errors) == (0, "")
        assert_cleaned_up(running, tmp_path)


def test_repeated_signals_do_not_interrupt_the_clean_up(tmp_path: Path) -> None:
    """Nor do they cause error messages."""
    with demo(tmp_path) as running:
        read_until(running, LAST_LINE)
        for _ in range(20):
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGINT)
            time.sleep(0.02)
        _, errors = running.communicate(timeout=15)
        assert (running.returncode, errors) == (0, "")
        assert_cleaned_up(running, tmp_path)


def test_the_processes_end_if_the_demo_is_killed(tmp_path: Path) -> None:
    """Although SIGKILL gives the demo no time to stop them."""
    with demo(tmp_path) as running:
        read_until(running, LAST_LINE)
        assert len(processes_of(running.pid)) >= 4
        running.kill()
        deadline = time.monotonic() + 20
        while processes_of(running.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert processes_of(running.pid) == []
