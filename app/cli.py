"""The command line: ``python -m app``."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from app.errors import InvalidParams, ServiceError
from app.inquiry import Inquiry
from app.settings import Settings
from app.sources.registry import Registry

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
    names: list[str] = parser.parse_args(arguments).sources
    sources = Registry(settings.sources, settings.default_source)
    try:
        names = [sources.check(name) for name in names]
    except InvalidParams as error:
        parser.error(f"{error}; there are {', '.join(sources)}")
    return _check(names or list(sources), sources, build_inquiry(), settings.deadline)


def _check(names: Sequence[str], sources: Registry, inquiry: Inquiry, patience: float) -> int:
    """Try the canaries of these sources, a line each."""
    status = ALL_WELL
    for name in names:
        source = sources[name]
        if not source.canary:
            print(f"{name}: not checked, it has no canary ids", file=sys.stderr)
        for canary in source.canary:
            item = f"{name}:{canary}"
            began = time.monotonic()
            try:
                finding = inquiry.ask(source, sources.resolve(canary, name).id, patience)
            except ServiceError as error:
                status = SOME_FAILED
                result = f"FAILED: {error}"
            else:
                result = f"{finding.url} by {source.extract[finding.rule]}" if finding else "FAILED: not modified"
            print(f"{item}: {result} ({time.monotonic() - began:.2f} s)", flush=True)
    return status
