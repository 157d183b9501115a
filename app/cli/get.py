"""``get``: the covers of many ids, from a running service."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.cli.arguments import Get
from app.cli.exit_status import ExitStatus
from app.cli.ids import MAX_LINE, read_ids
from app.cli.ordered_thread_pool import map_in_order
from app.cli.output_format import FORMATTERS, HEADERS, IdResult, error_line
from app.cli.progress_bar import Progress
from app.cli.service_client import ServiceClient, ServiceFault

_STDIN = 0

#: How many ids are read ahead of the one whose turn it is: others are asked for while that one is slow.
_AHEAD = 1000


def get(wanted: Get) -> ExitStatus:
    """Print what comes back for each id when its turn has come; return whether all were found.

    Raises:
        Unreachable: there is no service, or no more.
        WrongUsage: the URL is none, or standard input has no ids.

    """
    service = ServiceClient(wanted.url)
    # Not by sys.stdin, whose lock a thread that waits for input would keep beyond the end.
    ids = wanted.ids or read_ids(functools.partial(os.read, _STDIN, MAX_LINE))
    is_typed = not wanted.ids and os.isatty(_STDIN)
    line_of = FORMATTERS[wanted.format]
    status = ExitStatus.ALL_WELL
    with Progress(len(wanted.ids) or None, is_shown=len(wanted.ids) != 1 and not is_typed) as progress:
        if wanted.format in HEADERS:
            progress.say(HEADERS[wanted.format])
        hire = functools.partial(_asking, service, wanted.source)
        for answer in map_in_order(ids, hire, jobs=wanted.jobs, ahead=_AHEAD, idle=progress.refresh):
            progress.say(line_of(answer), error_line(answer) if wanted.format == "text" else "")
            progress.advance()
            if not answer.is_found:
                status = ExitStatus.SOME_FAILED
    return status


@contextmanager
def _asking(service: ServiceClient, source: str) -> Iterator[Callable[[str], IdResult]]:
    """Yield a function that asks over a connection of its own."""
    with service.connect(source) as connection:

        def ask(content_id: str) -> IdResult:
            try:
                return IdResult(content_id, connection.find(content_id))
            except ServiceFault as refused:
                return IdResult(content_id, code=refused.code, text=refused.text)

        yield ask
