"""The processes of the demo: failures are reported with their output, and all processes are stopped."""

import sys
from pathlib import Path

import pytest

from demo.processes import ProcessFailedError, running


def test_a_process_that_ends_early_is_reported_with_its_output(tmp_path: Path) -> None:
    """The first line has the name and the status, the others what the process printed."""
    program = "import sys; print('no such setting: colour'); sys.exit(3)"
    with (
        running(
            "service", lambda _: [sys.executable, "-c", program], directory=tmp_path, output=tmp_path / "log"
        ) as process,
        pytest.raises(ProcessFailedError) as failure,
    ):
        process.wait_until(lambda: False)
    assert str(failure.value) == "The service ended with status 3; its output:\n    no such setting: colour"


def test_a_process_that_does_not_become_ready_is_reported(tmp_path: Path) -> None:
    """After the timeout. An OSError while polling counts as not ready."""

    def is_ready() -> bool:
        raise ConnectionResetError

    program = "import time; print('thinking', flush=True); time.sleep(600)"
    with (
        running(
            "service", lambda _: [sys.executable, "-c", program], directory=tmp_path, output=tmp_path / "log"
        ) as process,
        pytest.raises(ProcessFailedError, match=r"did not respond within 0\.5 s"),
    ):
        process.wait_until(is_ready, timeout=0.5)


def test_a_process_that_ignores_signals_is_killed(tmp_path: Path) -> None:
    """When the stop timeout expires. The leader of its process group is still running then."""
    program = (
        "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]; "
        "print('ready', flush=True); time.sleep(600)"
    )
    output = tmp_path / "log"
    with running("leader", lambda _: ["/bin/cat"], directory=tmp_path, output=tmp_path / "other") as leader:
        with running(
            "service",
            lambda _: [sys.executable, "-c", program],
            directory=tmp_path,
            output=output,
            group_leader=leader,
            stop_timeout=0.2,
        ) as process:
            process.wait_until(lambda: output.read_text() == "ready\n")
        assert process.popen.returncode == -9
        assert leader.popen.poll() is None
    assert leader.popen.returncode == -9


def test_the_process_inherits_the_listening_socket(tmp_path: Path) -> None:
    """It accepts connections at the address that was reserved before it started."""
    program = "import socket, sys; print(socket.socket(fileno=int(sys.argv[1])).getsockname()[1], flush=True)"
    output = tmp_path / "log"
    with running(
        "service", lambda fd: [sys.executable, "-c", program, str(fd)], directory=tmp_path, output=output
    ) as process:
        process.popen.wait(20)
        assert process.address == f"http://127.0.0.1:{output.read_text().strip()}"
