"""The whole suite, by ``python -m tests``: in some processes, since most of it waits for other processes to start.

pytest-xdist does not do: its workers import what has to be patched before gevent could.
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

HERE = Path(__file__).parent

#: More would take as long on two cores, and hold up each other where a test looks how long something takes.
PROCESSES = 3

#: pytest's exit status where tests have failed, and nothing else has.
_FAILED = 1


def main() -> int:
    """Run all, print what they say one after the other, and return the worst exit status.

    Where tests have failed, they are run once more when all is quiet, and that counts: many look how long something
    takes, which the others may have held up.
    """
    commands = [_command(number, share) for number, share in enumerate(_shares())]
    with ExitStack() as stack:
        runs = []
        for command in commands:
            said = stack.enter_context(TemporaryFile("w+"))  # a pipe that nobody reads yet would hold it up when full
            run = stack.enter_context(subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT))
            stack.callback(run.kill)
            runs.append((run, said))
        for run, said in runs:
            run.wait()
            said.seek(0)
            print(said.read(), flush=True)
    finals = [_final(command, run.returncode) for command, (run, _) in zip(commands, runs, strict=True)]
    return max(map(abs, finals))  # below zero it was killed


def _command(number: int, share: Sequence[Path]) -> list[str]:
    """Return what runs a share, and remembers apart from the others what has failed."""
    cache = HERE.parent / ".pytest_cache" / str(number)
    return [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *sys.argv[1:], *map(str, share)]


def _final(command: Sequence[str], status: int) -> int:
    """Return the exit status of a share, that of its failures alone where it has some."""
    if status != _FAILED:
        return status
    print("These failed beside the others. Once more, by themselves:", flush=True)
    return subprocess.run([*command, "--last-failed"], check=False).returncode


def _shares() -> list[list[Path]]:
    """Deal out the files of tests, so that all processes take about as long."""
    files = sorted(HERE.rglob("test_*.py"))
    return [files[number::PROCESSES] for number in range(PROCESSES)]


if __name__ == "__main__":
    sys.exit(main())
