"""Runs the whole suite (``python -m tests``) in parallel: most tests wait for other processes to start.

pytest-xdist cannot be used: its workers import modules of the standard library before gevent could patch them.
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

HERE = Path(__file__).parent

#: More processes are not faster on two cores, and would disturb tests that measure time.
PROCESSES = 3

#: pytest's exit status if tests have failed.
_FAILED = 1


def main() -> int:
    """Run all tests, print the output of one process after the other, and return the highest exit status.

    Tests that fail are run once more alone, and the second result counts: the load of parallel tests may have made a
    time limit fail.
    """
    commands = [_command(number, files) for number, files in enumerate(_split_test_files())]
    with ExitStack() as stack:
        runs = []
        for command in commands:
            output = stack.enter_context(TemporaryFile("w+"))  # a pipe would block the process once it is full
            run = stack.enter_context(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
            stack.callback(run.kill)
            runs.append((run, output))
        for run, output in runs:
            run.wait()
            output.seek(0)
            print(output.read(), flush=True)
    statuses = [_retry_failures(command, run.returncode) for command, (run, _) in zip(commands, runs, strict=True)]
    return max(map(abs, statuses))  # negative if a signal has killed the process


def _command(number: int, files: Sequence[Path]) -> list[str]:
    """Return the command that runs some test files, with a pytest cache of its own for the failures."""
    cache = HERE.parent / ".pytest_cache" / str(number)
    return [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *sys.argv[1:], *map(str, files)]


def _retry_failures(command: Sequence[str], status: int) -> int:
    """Run failed tests once more; return the new exit status, or ``status`` if none has failed."""
    if status != _FAILED:
        return status
    print("Running the failed tests once more, without parallel tests:", flush=True)
    return subprocess.run([*command, "--last-failed"], check=False).returncode


def _split_test_files() -> list[list[Path]]:
    """Distribute the test files so that all processes take about the same time."""
    files = sorted(HERE.rglob("test_*.py"))
    return [files[number::PROCESSES] for number in range(PROCESSES)]


if __name__ == "__main__":
    sys.exit(main())
