"""``python -m app``: runs a command of ``app.cli``.

Each command is imported only when it runs. ``check`` needs gevent's monkey patching before its other imports.
``get`` and ``explain`` do not need monkey patching, which would increase their start-up time from 57 ms to 145 ms.
"""

import io
import os
import signal
import sys

from app.cli.exit_status import ExitStatus


def _exit_on_interrupt(_signal: int, _frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C kills the process immediately
    sys.exit(ExitStatus.INTERRUPTED)


# Installed before the remaining imports, so that Ctrl-C during start-up does not print a traceback. A shell starts
# background jobs with SIGINT ignored. The signal then stays ignored.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _exit_on_interrupt)

from app.cli.arguments import CheckArguments, ExplainArguments, GetArguments, parse_arguments
from app.cli.exit_status import CommandError, UsageError


def main() -> int:
    """Run the command that the arguments name, and return the exit status."""
    _open_missing_streams()
    try:
        try:
            return _run(parse_arguments(sys.argv[1:]))
        finally:
            sys.stdout.flush()
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.status
    except BrokenPipeError:  # the reader of the output has exited, for example `head`
        _redirect_to_devnull(1, 2)
        return ExitStatus.BROKEN_PIPE
    except OSError as error:  # the output cannot be written, because the disk is full or the terminal is closed
        _redirect_to_devnull(1)
        print(error, file=sys.stderr)
        return ExitStatus.FAILURE


def _run(arguments: GetArguments | ExplainArguments | CheckArguments) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # in any locale, for programs that read the output
    match arguments:
        case GetArguments():
            from app.cli.get import get

            return get(arguments)
        case ExplainArguments():
            from app.cli.explain import explain

            return explain(arguments)
        case CheckArguments():
            return _check(arguments)


def _check(arguments: CheckArguments) -> int:
    from gevent import monkey

    monkey.patch_all()

    from app.cli.check import check
    from app.config.loading import load_settings
    from app.domain.errors import SettingsError
    from app.main import build_cover_page_reader, open_store, with_circuit_breaker

    try:
        settings = load_settings(os.environ)
        open_store(settings)  # rejects an invalid store URL, like the service at start-up, and does not connect
        return check(
            arguments.sources,
            settings,
            lambda clock: build_cover_page_reader(settings, with_circuit_breaker(None), clock),
        )
    except SettingsError as error:
        raise UsageError(str(error)) from error


def _open_missing_streams() -> None:
    """Open the null device in place of an output that the shell closed (``>&-``).

    Otherwise the next file that is opened would get the descriptor of the output, and the output would be written to
    that file.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def _redirect_to_devnull(*descriptors: int) -> None:
    """Redirect these descriptors to the null device, so that Python's flush at exit cannot fail."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(devnull, descriptor)


sys.exit(main())
