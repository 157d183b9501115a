"""The values that a lookup is about: which item, and what is known of its cover. All are frozen.

A record keeps an *outcome*, not just a URL, because every reason for having no cover has its own lifetime and its own
fault: a shop that blocks us for an hour must not look like an item that has no cover.
"""

import enum
import math
from datetime import UTC, datetime

import msgspec

from app.errors import Blocked, LookupFailed, NoCover, OriginFailed, Throttled, TooSlow


class ContentId(msgspec.Struct, frozen=True):
    """One item: the name of its source and its id there. The key of memory, flights and stores."""

    source: str
    id: str

    def __str__(self) -> str:
        return f"{self.source}:{self.id}"


class Outcome(enum.StrEnum):
    """What came of asking the origin for an item."""

    FOUND = "found"
    NO_SUCH_ITEM = "no_such_item"
    NO_COVER = "no_cover"
    BLOCKED = "blocked"
    THROTTLED = "throttled"
    ORIGIN_FAILED = "origin_failed"
    TOO_SLOW = "too_slow"


class CoverRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one item's cover.

    ``url`` is absolute where the outcome is ``FOUND``, else empty; ``error`` is the other way round. ``page_url`` is
    the page that was asked for, ``rule`` the one that found the cover. ``fetched_at`` and ``fresh_until`` are seconds
    since the epoch.
    """

    outcome: Outcome
    page_url: str
    fetched_at: float
    fresh_until: float
    url: str = ""
    rule: str = ""
    error: str = ""

    def failure(self, now: float) -> LookupFailed:
        """Return a fresh exception that says why there is no cover; ``now`` is seconds since the epoch."""
        match self.outcome:
            case Outcome.NO_SUCH_ITEM | Outcome.NO_COVER:
                return NoCover(self.error)
            case Outcome.BLOCKED:
                return Blocked(self.error)
            case Outcome.THROTTLED:
                seconds = max(1, math.ceil(self.fresh_until - now))
                return Throttled(f"{self.error}; ask again in {seconds} seconds", seconds)
            case Outcome.TOO_SLOW:
                return TooSlow(self.error)
            case Outcome.ORIGIN_FAILED:
                return OriginFailed(self.error)
            case Outcome.FOUND:
                raise ValueError("a cover that was found is no failure")


class CacheState(enum.StrEnum):
    """Where an answer came from."""

    MEMORY = "memory"
    FETCHED = "fetched"


class Answer(msgspec.Struct, frozen=True):
    """A record, and where it came from this time."""

    record: CoverRecord
    cache: CacheState


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC, such as ``2026-11-22T12:45:21Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
