"""``python -m app``: see ``app.cli``.

A command is imported when it is asked for. ``check`` needs sockets that are patched before anything else is imported;
the others need none, and would take three times as long to start.
"""

import io
import os
import signal
import sys

from app.cli.exit_status import ExitStatus


def _interrupt(_signal: int, _frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an impatient second one ends it wherever it is
    sys.exit(ExitStatus.INTERRUPTED)


# From here on. Whoever runs it in the background has it ignore the signal, which it goes on to do.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _interrupt)

from app.cli.arguments import Check, Explain, Get, parse
from app.cli.exit_status import CommandError, UsageError


def main() -> int:
    """Do what the command line says; return the exit status."""
    _open_outputs()
    try:
        try:
            return _run(parse(sys.argv[1:]))
        finally:
            sys.stdout.flush()
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.status
    except BrokenPipeError:
        # Whoever read this has seen enough.
        _give_up(1, 2)
        return ExitStatus.NOBODY_READS
    except OSError as error:  # a full disk, a terminal that is gone
        _give_up(1)
        print(error, file=sys.stderr)
        return ExitStatus.SOME_FAILED


def _run(wanted: Get | Explain | Check) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # wherever it is run: what reads it must not have to ask
    match wanted:
        case Get():
            from app.cli.get import get

            return get(wanted)
        case Explain():
            from app.cli.explain import explain

            return explain(wanted)
        case Check():
            return _check(wanted)


def _check(wanted: Check) -> int:
    # First of all: whatever is imported from here on gets cooperative sockets, ssl included.
    from gevent import monkey

    monkey.patch_all()

    from app.cli.check import check
    from app.concurrency.clock import steady_clock
    from app.config.loading import load_settings
    from app.domain.errors import SettingsError
    from app.main import build_cover_page_reader, open_store, with_circuit_breaker

    try:
        settings = load_settings(os.environ)
        open_store(settings)  # which opens nothing, but looks at what it is told, as the service does when it starts
        return check(
            wanted.sources,
            settings,
            lambda: build_cover_page_reader(settings, with_circuit_breaker(None), steady_clock()),
        )
    except SettingsError as error:
        raise UsageError(str(error)) from error


def _open_outputs() -> None:
    """Let what is said to an output that is closed (``>&-``) go nowhere, and not into the next file that is opened."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def _give_up(*outputs: int) -> None:
    """Let what Python flushes to these at its end go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in outputs:
        os.dup2(nowhere, output)


sys.exit(main())
