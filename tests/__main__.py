"""The whole suite, by ``python -m tests``: in some processes, since most of it waits for other processes to start.

pytest-xdist does not do: its workers import what has to be patched before gevent could.
"""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

HERE = Path(__file__).parent

#: More would take as long on two cores, and hold up each other where a test looks how long something takes.
PROCESSES = 3


def main() -> int:
    """Run all, print what they say one after the other, and return the worst exit status."""
    command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    with ExitStack() as stack:
        runs = []
        for share in _shares():
            said = stack.enter_context(TemporaryFile("w+"))  # a pipe that nobody reads yet would hold it up when full
            run = stack.enter_context(subprocess.Popen([*command, *share], stdout=said, stderr=subprocess.STDOUT))
            stack.callback(run.kill)
            runs.append((run, said))
        for run, said in runs:
            run.wait()
            said.seek(0)
            print(said.read(), flush=True)
    return max(run.returncode for run, _ in runs)


def _shares() -> list[list[Path]]:
    """Deal out the files of tests, so that all processes take about as long."""
    files = sorted(HERE.rglob("test_*.py"))
    return [files[number::PROCESSES] for number in range(PROCESSES)]


if __name__ == "__main__":
    sys.exit(main())
