"""Which processes live, by /proc: in a process group, in a session, or as the children of one; where programs are."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process that lives: its ids, as proc(5) has them."""

    pid: int
    parent: int
    group: int
    session: int


def living() -> Iterator[Process]:
    """Yield the processes that live, those left out that are dead and not yet buried."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which is in parentheses and may hold anything: state, parent, group, session.
            state, *ids = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it ended meanwhile
        if state not in {"Z", "X"}:
            yield Process(int(stat.parent.name), *map(int, ids))


def path_of(program: str) -> str | None:
    """Return where a program is, or None. Servers lie in a folder where not everybody looks for programs."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
