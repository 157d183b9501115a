"""``python -m app``: see ``app.cli``."""

# First of all: whatever is imported from here on gets cooperative sockets, ssl included.
from gevent import monkey

monkey.patch_all()

import os
import sys

from app import cli
from app.cache.store import NoStore
from app.clock import steady_clock
from app.errors import SettingsError
from app.main import build_inquiry, guarded
from app.settings import load


def main() -> int:
    """Run the command line; return the exit status."""
    try:
        settings = load(os.environ)
        return cli.run(sys.argv[1:], settings, lambda: build_inquiry(settings, guarded(NoStore()), steady_clock()))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return cli.WRONG_USAGE


try:
    status = main()
except KeyboardInterrupt:
    status = 130  # as shells have it: 128 and the signal's number
except BrokenPipeError:
    # Whoever read this has seen enough. What Python flushes at its end has nowhere to go either.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    status = cli.SOME_FAILED
sys.exit(status)
