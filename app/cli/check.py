"""``check``: the canaries of sources, tried as the service would."""

import sys
import time
from collections.abc import Callable, Sequence

from app.cli.exit_status import ExitStatus, UsageError
from app.config.settings import Settings
from app.config.sources import SourceRegistry
from app.domain.errors import InvalidParams, ServiceError
from app.lookup.cover_page import CoverPageReader


def check(names: Sequence[str], settings: Settings, build_inquiry: Callable[[], CoverPageReader]) -> ExitStatus:
    """Try the canaries of these sources, of all that have some where there are no names; print a line each.

    ``build_inquiry`` makes what asks origins. Raises WrongUsage for a name that is no source's.
    """
    sources = SourceRegistry(settings.sources, settings.default_source)
    try:
        chosen = [sources.resolve_name(name) for name in names] or [name for name in sources if sources[name].canary]
    except InvalidParams as error:
        raise UsageError(f"{error}; there are {', '.join(sources)}") from error
    if not chosen:
        print("nothing to check: no source has canary ids", file=sys.stderr)
    inquiry = build_inquiry()
    status = ExitStatus.ALL_WELL
    for name in chosen:
        source = sources[name]
        if not source.canary:
            print(f"{name}: not checked, it has no canary ids", file=sys.stderr)
        for canary in source.canary:
            item = f"{name}:{canary}"
            began = time.monotonic()
            try:
                finding = inquiry.read_cover(source, sources.resolve(canary, name).id, settings.deadline)
            except ServiceError as error:
                status = ExitStatus.SOME_FAILED
                result = f"FAILED: {error}"
            else:
                result = f"{finding.url} by {source.extract[finding.rule]}" if finding else "FAILED: not modified"
            print(f"{item}: {result} ({time.monotonic() - began:.2f} s)", flush=True)
    return status
