"""The ``check`` command: looks up the canary ids of sources at their origins, with the code of the service."""

import sys
from collections.abc import Callable, Sequence

from app.cli.exit_status import ExitStatus, UsageError
from app.concurrency.clock import Clock, steady_clock
from app.concurrency.deadline import Deadline
from app.config.settings import Settings
from app.config.source_registry import SourceRegistry
from app.domain.errors import InvalidParams, ServiceError
from app.lookup.cover_page import CoverPageReader


def check(names: Sequence[str], settings: Settings, build_reader: Callable[[Clock], CoverPageReader]) -> ExitStatus:
    """Look up the canary ids of the named sources and print a line for each id.

    If ``names`` is empty, all sources that have canary ids are checked. ``build_reader`` is called with a clock after
    the names have been validated. Returns FAILURE if an id has no cover, else SUCCESS. Raises UsageError if there is no
    enabled source with one of the names.
    """
    sources = SourceRegistry(settings.sources, settings.default_source)
    try:
        selected = [sources.resolve_name(name) for name in names] or [name for name in sources if sources[name].canary]
    except InvalidParams as error:
        raise UsageError(f"{error}; there are {', '.join(sources)}") from error
    if not selected:
        print("nothing to check: no source has canary ids", file=sys.stderr)
    clock = steady_clock()
    reader = build_reader(clock)
    status = ExitStatus.SUCCESS
    for name in selected:
        source = sources[name]
        if not source.canary:
            print(f"{name}: not checked, it has no canary ids", file=sys.stderr)
        for canary in source.canary:
            started_at = clock()
            try:
                cover = reader.read_cover(
                    source, sources.resolve(canary, name).id, Deadline(started_at + settings.deadline)
                )
            except ServiceError as error:
                status = ExitStatus.FAILURE
                result = f"FAILED: {error}"
            else:
                result = f"{cover.url} by {source.extract[cover.rule]}" if cover else "FAILED: not modified"
            print(f"{name}:{canary}: {result} ({clock() - started_at:.2f} s)", flush=True)
    return status
