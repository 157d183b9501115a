"""Executes another program on given cores, with as many file descriptors as the system allows.

Run by ``python -m benchmarks.pinned 0,1 PROGRAM ARGUMENT...``.
"""

import os
import resource
import sys
from collections.abc import Iterable


def pin(cores: Iterable[int]) -> None:
    """Pin this process and its future children to these cores, and raise its limit of open files to the maximum."""
    os.sched_setaffinity(0, cores)
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


def main() -> None:
    """Replace this process by the program."""
    cores, *command = sys.argv[1:]
    pin(map(int, cores.split(",")))
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
