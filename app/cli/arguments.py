"""The arguments: what stands behind ``python -m app``, read into one frozen value for each command."""

import argparse
import os
from collections.abc import Sequence
from typing import NamedTuple

from app.domain.version import NAME, VERSION

_URL = "http://127.0.0.1:8080/RPC2"

#: As many as a source's pages are fetched at once by default: more would wait at the service, within their deadline.
_JOBS = 8
#: Each is a connection, and processes may commonly have 1,024 files open.
_MOST_JOBS = 1000

FORMATS = ("text", "csv", "jsonl")

_WHERE = "`check` reads the service's configuration (COVERS_CONFIG); `get` and `explain` ask a running service."
_STATUSES = "Exit status: 0 all found, 1 some not, 2 wrong usage, 3 the service could not be reached."


class Get(NamedTuple):
    """``get``: the covers of these ids, or of those that standard input has, where there are none."""

    ids: tuple[str, ...]
    url: str
    source: str
    format: str
    jobs: int


class Explain(NamedTuple):
    """``explain``: what is known of one id's cover."""

    content_id: str
    url: str
    source: str


class Check(NamedTuple):
    """``check``: the canaries of these sources, or of all where there are none."""

    sources: tuple[str, ...]


def parse(arguments: Sequence[str]) -> Get | Explain | Check:
    """Return the command that the arguments are. Raises SystemExit, with what there is to say printed, for none."""
    parser = _parser()
    if not arguments:
        parser.exit(2, parser.format_help())
    # In UTF-8 whatever the environment says, as standard input is read.
    given = parser.parse_args([os.fsencode(argument).decode("utf-8", "replace") for argument in arguments])
    if given.command == "check":
        return Check(tuple(given.sources))
    if given.command == "explain":
        return Explain(given.id.strip(), given.url, given.source)
    ids = tuple(content_id.strip() for content_id in given.ids)
    if "-" in ids and len(ids) > 1:
        parser.error("get: - reads all ids from standard input, so it stands alone")
    return Get(() if ids == ("-",) else ids, given.url, given.source, given.format, given.jobs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="Covers, from the command line.", epilog=_WHERE)
    parser.add_argument("--version", action="version", version=f"{NAME} {VERSION}")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    get = commands.add_parser("get", help="ask a running service for the covers of ids", epilog=_STATUSES)
    get.add_argument("ids", nargs="+", metavar="ID", help="42, or shop:42; - alone reads ids from standard input")
    _add_service(get)
    get.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="what is printed for each id: its URL or an empty line (text), or a row, an object with its URL or its "
        "fault; default: %(default)s",
    )
    get.add_argument("--jobs", type=_jobs, default=_JOBS, metavar="N", help="calls at once; default: %(default)s")
    explain = commands.add_parser("explain", help="ask a running service what it knows of an id", epilog=_STATUSES)
    explain.add_argument("id", metavar="ID")
    _add_service(explain)
    check = commands.add_parser(
        "check", help="fetch each source's canary ids from its origin, by the service's configuration"
    )
    check.add_argument("sources", nargs="*", metavar="SOURCE", help="the sources to check, all of them without any")
    return parser


def _add_service(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", default=_URL, help="where the service answers; default: %(default)s")
    command.add_argument("--source", default="", metavar="NAME", help="the source of ids that name none")


def _jobs(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_JOBS:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number from 1 to {_MOST_JOBS}, got {text!r}")
