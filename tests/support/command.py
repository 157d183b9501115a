"""The command line as users run it: ``python -m app`` in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.service import ROOT, environment

COMMAND = [sys.executable, "-m", "app"]

#: A missing file: clients of a running service do not read the configuration.
NO_CONFIG = Path("/nonexistent/covers.toml")


def run(
    *arguments: str, stdin: str = "", config: Path = NO_CONFIG, extra: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run a command to its end; return its exit status, standard output and standard error."""
    completed = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=_environment(config, extra),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    return completed.returncode, completed.stdout, completed.stderr


@contextmanager
def running(*arguments: str, config: Path = NO_CONFIG, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends. Its standard streams are pipes unless ``streams`` has others."""
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
    """Return environment variables for a command, without those that change how Python buffers and encodes output."""
    return environment(config, {"PYTHONUNBUFFERED": "", "PYTHONIOENCODING": "", **(extra or {})})
