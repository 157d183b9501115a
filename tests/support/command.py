"""The command line as its users run it: ``python -m app`` in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.service import ROOT, environment

COMMAND = [sys.executable, "-m", "app"]

#: Who asks a running service does not look at the configuration, not even to see that it is none.
NO_CONFIG = Path("/nonexistent/covers.toml")


def run(
    *arguments: str, stdin: str = "", config: Path = NO_CONFIG, extra: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run a command to its end; return its exit status, what it printed, and what it complained of."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=_environment(config, extra),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@contextmanager
def running(*arguments: str, config: Path = NO_CONFIG, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends; its standard streams are pipes where no others are given."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process: subprocess.Popen[bytes] = subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, env=_environment(config), **(pipes | streams)
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _environment(config: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return ours, without what would have Python print otherwise than it does for others."""
    return environment(config, {"PYTHONUNBUFFERED": "", "PYTHONIOENCODING": "", **(extra or {})})
