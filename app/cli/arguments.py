"""The command-line arguments, parsed into one immutable value per command."""

import argparse
import os
from collections.abc import Sequence
from typing import NamedTuple

from app.cli.output_format import FORMATTERS
from app.domain.version import NAME, VERSION

_DEFAULT_URL = "http://127.0.0.1:8080/RPC2"

#: The same as the default ``concurrency`` of a source. Further calls would only wait in the service, at most until its
#: ``deadline``.
_DEFAULT_JOBS = 8
#: Each job opens a connection, and a process may usually have 1,024 open files.
_MAX_JOBS = 1000

_COMMANDS_EPILOG = (
    "`check` reads the service's configuration (COVERS_CONFIG); `get` and `explain` call a running service."
)
_STATUS_EPILOG = "Exit status: 0 all found, 1 some not found, 2 wrong usage, 3 the service could not be reached."


class GetArguments(NamedTuple):
    """Arguments of ``get``. If ``ids`` is empty (the argument was ``-``), the ids are read from standard input."""

    ids: tuple[str, ...]
    url: str
    source: str
    format: str
    jobs: int


class ExplainArguments(NamedTuple):
    """Arguments of ``explain``."""

    content_id: str
    url: str
    source: str


class CheckArguments(NamedTuple):
    """Arguments of ``check``. If ``sources`` is empty, all sources that have canary ids are checked."""

    sources: tuple[str, ...]


def parse_arguments(argv: Sequence[str]) -> GetArguments | ExplainArguments | CheckArguments:
    """Parse the arguments that follow ``python -m app``.

    Raises SystemExit after printing a usage error, the help text or the version.
    """
    parser = _build_parser()
    if not argv:
        parser.exit(2, parser.format_help())
    # Like standard input, arguments are decoded as UTF-8. The locale has no effect.
    parsed = parser.parse_args([os.fsencode(argument).decode("utf-8", "replace") for argument in argv])
    if parsed.command == "check":
        return CheckArguments(tuple(parsed.sources))
    if parsed.command == "explain":
        return ExplainArguments(parsed.id.strip(), parsed.url, parsed.source)
    ids = tuple(content_id.strip() for content_id in parsed.ids)
    if "-" in ids and len(ids) > 1:
        parser.error('get: "-" reads all ids from standard input and cannot be combined with other ids')
    return GetArguments(() if ids == ("-",) else ids, parsed.url, parsed.source, parsed.format, parsed.jobs)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app", description="Look up cover images from the command line.", epilog=_COMMANDS_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"{NAME} {VERSION}")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    get = commands.add_parser("get", help="ask a running service for the covers of ids", epilog=_STATUS_EPILOG)
    get.add_argument(
        "ids", nargs="+", metavar="ID", help='42 or shop:42; a single "-" reads the ids from standard input'
    )
    _add_service_options(get)
    get.add_argument(
        "--format",
        choices=tuple(FORMATTERS),
        default="text",
        help="text prints the URL or an empty line for each id; csv prints a row and jsonl an object, with the URL or "
        "the fault; default: %(default)s",
    )
    get.add_argument(
        "--jobs", type=_job_count, default=_DEFAULT_JOBS, metavar="N", help="concurrent calls; default: %(default)s"
    )
    explain = commands.add_parser(
        "explain", help="ask a running service what it knows about an id", epilog=_STATUS_EPILOG
    )
    explain.add_argument("id", metavar="ID")
    _add_service_options(explain)
    check = commands.add_parser(
        "check", help="fetch each source's canary ids from its origin, using the service's configuration"
    )
    check.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="the sources to check; default: all that have canary ids"
    )
    return parser


def _add_service_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", default=_DEFAULT_URL, help="the service's XML-RPC endpoint; default: %(default)s")
    command.add_argument(
        "--source",
        default="",
        metavar="NAME",
        help="the source of ids that do not name one; default: the service's default source",
    )


def _job_count(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX_JOBS:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number from 1 to {_MAX_JOBS}, got {text!r}")
