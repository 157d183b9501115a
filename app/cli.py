"""The command line: ``python -m app``."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from app.cover import ContentId
from app.errors import ServiceError
from app.inquiry import Inquiry
from app.settings import Settings
from app.source import Source

#: Exit statuses.
ALL_WELL, SOME_FAILED, WRONG_USAGE = 0, 1, 2


def run(arguments: Sequence[str], settings: Settings, build_inquiry: Callable[[], Inquiry]) -> int:
    """Do what the arguments say; return the exit status. ``build_inquiry`` makes what asks origins."""
    parser = argparse.ArgumentParser(prog="python -m app", description="Covers, from the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check", help="fetch each source's canary ids from its origin, by the service's configuration"
    )
    check.add_argument("sources", nargs="*", metavar="SOURCE", help="the sources to check, all of them without any")
    named: list[str] = parser.parse_args(arguments).sources
    for name in named:
        if name not in settings.sources:
            parser.error(f"unknown source {name!r}, expected one of {', '.join(settings.sources)}")
    return _check({name: settings.sources[name] for name in named or settings.sources}, settings, build_inquiry())


def _check(sources: Mapping[str, Source], settings: Settings, inquiry: Inquiry) -> int:
    """Try the canaries of these sources, a line each."""
    status = ALL_WELL
    for name, source in sources.items():
        if not source.canary:
            print(f"{name}: not checked, it has no canary ids", file=sys.stderr)
        for item in canaries(name, source):
            began = time.monotonic()
            try:
                finding = inquiry.ask(source, item.id, settings.deadline)
            except ServiceError as error:
                status = SOME_FAILED
                result = f"FAILED: {error}"
            else:
                result = f"{finding.url} by {source.extract[finding.rule]}" if finding else "FAILED: not modified"
            print(f"{item}: {result} ({time.monotonic() - began:.2f} s)", flush=True)
    return status


def canaries(name: str, source: Source) -> Iterator[ContentId]:
    """Return the items of a source that must have a cover."""
    return (ContentId(name, str(canary)) for canary in source.canary)
