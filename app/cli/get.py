"""The ``get`` command: looks up the covers of many ids by calls of a running service, and prints the results."""

import codecs
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.cli.arguments import GetArguments
from app.cli.exit_status import ExitStatus, UsageError
from app.cli.ordered_thread_pool import map_in_order
from app.cli.output_format import FORMATTERS, HEADERS, IdResult, error_line
from app.cli.progress_bar import ProgressBar
from app.cli.service_client import ServiceClient, ServiceFault

_STDIN_FD = 0

#: The number of ids that are read ahead of the next id to be printed, so that a slow lookup does not delay the others.
_READ_AHEAD = 1000

#: In bytes. All ids are much shorter. Input without line ends must not be read into memory as a whole.
MAX_LINE = 65_536


def get(arguments: GetArguments) -> ExitStatus:
    """Print a line for each id, in the order of the ids. Return SUCCESS if all covers were found, else FAILURE.

    Raises:
        ServiceUnreachable: the service could not be reached, or was down for too long.
        UsageError: the service's URL or the standard input is invalid.

    """
    service = ServiceClient(arguments.url)
    # os.read is used because a daemon thread that is blocked in a read of sys.stdin holds the lock of sys.stdin. Python
    # aborts at exit if it cannot acquire this lock.
    ids = arguments.ids or read_ids(functools.partial(os.read, _STDIN_FD, MAX_LINE))
    is_typed = not arguments.ids and os.isatty(_STDIN_FD)
    format_line = FORMATTERS[arguments.format]
    status = ExitStatus.SUCCESS
    with ProgressBar(len(arguments.ids) or None, is_shown=len(arguments.ids) != 1 and not is_typed) as progress:
        if arguments.format in HEADERS:
            progress.print_line(HEADERS[arguments.format])
        results = map_in_order(
            ids,
            functools.partial(_lookup_worker, service, arguments.source),
            max_workers=arguments.jobs,
            max_queued=_READ_AHEAD,
            on_idle=progress.refresh,
        )
        for result in results:
            progress.print_line(format_line(result), error_line(result) if arguments.format == "text" else "")
            progress.advance()
            if not result.is_found:
                status = ExitStatus.FAILURE
    return status


@contextmanager
def _lookup_worker(service: ServiceClient, source: str) -> Iterator[Callable[[str], IdResult]]:
    """Open a connection, and yield a function that looks up an id over this connection."""
    with service.connect(source) as connection:

        def look_up(content_id: str) -> IdResult:
            try:
                return IdResult(content_id, connection.get_cover(content_id))
            except ServiceFault as fault:
                return IdResult(content_id, fault_code=fault.code, fault_text=fault.text)

        yield look_up


def read_ids(read: Callable[[], bytes]) -> Iterator[str]:
    """Yield the ids of a UTF-8 stream with one id per line, each as soon as its line is complete.

    ``read`` returns the next bytes of the stream, or no bytes at its end. Whitespace around an id is stripped, and
    blank lines are skipped. Raises UsageError if a line is longer than ``MAX_LINE`` or the stream cannot be read.
    """
    for number, line in enumerate(_read_lines(read), 1):
        if len(line) > MAX_LINE:
            raise UsageError(f"standard input: line {number}: expected an id, got more than {MAX_LINE} bytes")
        content_id = line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode("utf-8", "replace").strip()
        if content_id:
            yield content_id


def _read_lines(read: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield the lines without line feeds. Of a line that exceeds MAX_LINE, yield only the beginning, and stop."""
    rest = b""
    try:
        while len(rest) <= MAX_LINE and (received := read()):
            *lines, rest = (rest + received).split(b"\n")
            yield from lines
    except OSError as error:
        raise UsageError(f"standard input: {error.strerror}") from error
    yield rest
