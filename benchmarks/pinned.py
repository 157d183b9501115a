"""Becomes another program on given cores, with as many file descriptors as the system allows.

Run by ``python -m benchmarks.pinned 0,1 PROGRAM ARGUMENT...``.
"""

import os
import resource
import sys
from collections.abc import Iterable


def pin(cores: Iterable[int]) -> None:
    """Have this process, and all that it starts, run on these cores, and open as many files as the system allows."""
    os.sched_setaffinity(0, cores)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Become the program."""
    cores, *command = sys.argv[1:]
    pin(map(int, cores.split(",")))
    os.execvp(command[0], command)  # noqa: S606 - a program of ours, and no shell


if __name__ == "__main__":
    main()
