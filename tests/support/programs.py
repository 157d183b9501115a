"""Where programs are that the tests talk with."""

import os
import shutil


def path_of(program: str) -> str | None:
    """Return where a program is, or None. Servers lie in a folder where not everybody looks for programs."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
