"""Locations of the external programs that the tests run."""

import os
import shutil


def path_of(program: str) -> str | None:
    """Return the path of a program, or None. Servers are often in /usr/sbin, which may be missing in PATH."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
