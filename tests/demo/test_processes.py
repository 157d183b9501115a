"""The processes of the demo: one that fails is reported in a line with its output, one that stays is ended."""

import sys
from pathlib import Path

import pytest

from demo.processes import ProcessFailedError, running


def test_a_process_that_ends_early_is_reported_with_its_output(tmp_path: Path) -> None:
    """The first line says which and how, the rest is what the process printed."""
    program = "import sys; print('no such setting: colour'); sys.exit(3)"
    with (
        running(
            "service", lambda _: [sys.executable, "-c", program], directory=tmp_path, output=tmp_path / "log"
        ) as one,
        pytest.raises(ProcessFailedError) as failure,
    ):
        one.wait_till(lambda: False)
    assert str(failure.value) == "The service ended with status 3; its output:\n    no such setting: colour"


def test_a_process_that_never_answers_is_reported(tmp_path: Path) -> None:
    """The wait has an end, and a question that fails with an OSError is a no."""

    def ask() -> bool:
        raise ConnectionResetError

    program = "import time; print('thinking', flush=True); time.sleep(600)"
    with (
        running(
            "service", lambda _: [sys.executable, "-c", program], directory=tmp_path, output=tmp_path / "log"
        ) as one,
        pytest.raises(ProcessFailedError, match=r"did not answer within 0\.5 s"),
    ):
        one.wait_till(ask, patience=0.5)


def test_a_process_that_ignores_signals_is_killed(tmp_path: Path) -> None:
    """The end of the block is the end of the process, whatever it thinks of that."""
    program = (
        "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]; "
        "print('deaf', flush=True); time.sleep(600)"
    )
    output = tmp_path / "log"
    with running("leader", lambda _: ["/bin/cat"], directory=tmp_path, output=tmp_path / "other") as leader:
        with running(
            "service",
            lambda _: [sys.executable, "-c", program],
            directory=tmp_path,
            output=output,
            beside=leader,
            leaving=0.2,
        ) as one:
            one.wait_till(lambda: output.read_text() == "deaf\n")
        assert one.child.returncode == -9
        assert leader.child.poll() is None
    assert leader.child.returncode == -9


def test_the_socket_is_handed_over(tmp_path: Path) -> None:
    """The process accepts at the address that was known before it ran."""
    program = "import socket, sys; print(socket.socket(fileno=int(sys.argv[1])).getsockname()[1], flush=True)"
    output = tmp_path / "log"
    with running(
        "service", lambda fd: [sys.executable, "-c", program, str(fd)], directory=tmp_path, output=output
    ) as one:
        one.child.wait(20)
        assert one.address == f"http://127.0.0.1:{output.read_text().strip()}"
