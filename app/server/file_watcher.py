"""Watches files for changes, for gunicorn's ``--reload``.

gunicorn's own reloader runs in the workers. A worker that finds a change exits, and the next worker imports the new
code. In this service the workers inherit the imported modules from the master. So the master has to watch the files.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import gevent

#: For each file that exists, the time of its last modification in nanoseconds, and its size.
_Versions = Mapping[Path, tuple[int, int]]


def watch_files(
    find_files: Callable[[], Iterable[Path]], on_change: Callable[[list[Path]], object], *, interval: float = 0.5
) -> None:
    """Start a greenlet that calls ``on_change`` with the files that have been changed, added or removed.

    ``find_files`` returns the files to watch. They are checked every ``interval`` seconds. A change is reported only
    after two checks in a row have found the same versions of all files. So if a program writes several files,
    ``on_change`` is called once.

    A child process inherits the greenlet through fork. In the child process the greenlet ends without another check.
    """
    gevent.spawn(_watch, os.getpid(), _versions(find_files()), find_files, on_change, interval)


def _watch(
    pid: int,
    reported: _Versions,
    find_files: Callable[[], Iterable[Path]],
    on_change: Callable[[list[Path]], object],
    interval: float,
) -> None:
    previous = reported
    while os.getpid() == pid:
        current = previous
        with suppress(OSError):  # a folder was removed while find_files() searched it
            current = _versions(find_files())
        if current == previous != reported:
            changed = [path for path in {**reported, **current} if reported.get(path) != current.get(path)]
            reported = current
            on_change(sorted(changed))
        previous = current
        gevent.sleep(interval)


def _versions(files: Iterable[Path]) -> _Versions:
    versions = {}
    for path in files:
        with suppress(OSError):  # the file does not exist
            status = path.stat()
            versions[path] = status.st_mtime_ns, status.st_size
    return versions
