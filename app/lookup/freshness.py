"""How long what is known stays good: the one place where ``ttl``, ``grace``, ``keep`` and their like become times.

A found cover is *fresh* for its ``ttl``, then *stale* for ``grace`` (it is served while one refresh runs behind it),
then *kept* for ``keep`` (it is served if the origin cannot be asked), then *gone*: Varnish's three lifetimes, one after
the other. Everything else is fresh and then gone. All functions are pure; ``now`` is seconds since the epoch, and
``luck`` a number from 0 to 1, by which what was learned together does not expire together.
"""

import enum

import msgspec

from app.config.source import Source
from app.domain.errors import LookupFailed, NoCover, NoSuchItem, OriginError, Throttled
from app.domain.records import CoverRecord, Finding, Outcome, outcome_of

_JITTER = 0.1


class Freshness(enum.Enum):
    """What may be done with a record."""

    FRESH = enum.auto()
    STALE = enum.auto()
    KEPT = enum.auto()
    GONE = enum.auto()


def freshness(record: CoverRecord, source: Source, now: float) -> Freshness:
    """Return what may be done with a record of this source."""
    if now < record.fresh_until:
        return Freshness.FRESH
    if not record.is_found:
        return Freshness.GONE
    if now < record.fresh_until + source.grace:
        return Freshness.STALE
    if now < record.fresh_until + source.grace + source.keep:
        return Freshness.KEPT
    return Freshness.GONE


def is_due(record: CoverRecord, now: float) -> bool:
    """Tell whether the origin may be asked again."""
    return now >= record.next_check


def seconds_worth_keeping(record: CoverRecord, source: Source, now: float) -> float:
    """Return for how many seconds a record is worth keeping."""
    end = record.fresh_until
    if record.is_found:
        end += source.grace + source.keep
    return end - now


def clamped(record: CoverRecord, now: float) -> CoverRecord:
    """Return a record that another clock wrote as one of this clock: none is from the future."""
    ahead = record.fetched_at - now
    if ahead <= 0:
        return record
    return msgspec.structs.replace(
        record,
        fetched_at=now,
        fresh_until=record.fresh_until - ahead,
        not_before=None if record.not_before is None else record.not_before - ahead,
    )


def found(source: Source, finding: Finding, *, now: float, luck: float) -> CoverRecord:
    """Return the record of a cover that was found on its page now."""
    return CoverRecord(
        outcome=Outcome.FOUND,
        fetched_at=now,
        fresh_until=now + _jittered(source.ttl, luck),
        url=finding.url,
        rule=finding.rule,
        made_by=source.fingerprint,
        etag=finding.etag,
        last_modified=finding.last_modified,
        status=finding.status,
        final_url=finding.final_url,
        misses=finding.misses,
    )


def renewed(record: CoverRecord, source: Source, *, now: float, luck: float) -> CoverRecord:
    """Return the record of a cover whose page is what it was: 304."""
    end = now + _jittered(source.ttl, luck)
    return msgspec.structs.replace(record, fetched_at=now, fresh_until=end, not_before=None, error="")


def failed(known: CoverRecord | None, source: Source, error: LookupFailed, *, now: float, luck: float) -> CoverRecord:
    """Return what is known after the origin was asked in vain.

    A cover that is known outlives every failure until its ``keep`` ends, and so it does a page on which the rules find
    nothing: rules break more often than covers vanish. Only the origin's own "no such item" ends it.
    """
    lasts = _seconds_of_failure(source, error, luck)
    if (
        known is not None
        and known.is_found
        and not isinstance(error, NoSuchItem)
        and freshness(known, source, now) is not Freshness.GONE
    ):
        return msgspec.structs.replace(known, not_before=now + lasts, error=str(error))
    return CoverRecord(
        outcome=outcome_of(error),
        fetched_at=now,
        fresh_until=now + lasts,
        error=str(error),
        status=error.status,
        misses=error.misses if isinstance(error, NoCover) else (),
    )


def _seconds_of_failure(source: Source, error: LookupFailed, luck: float) -> float:
    if isinstance(error, NoCover):
        return _jittered(source.negative_ttl, luck)
    if isinstance(error, Throttled):
        return error.retry_after or source.error_ttl
    if isinstance(error, OriginError) and error.retry_after:
        return min(error.retry_after, source.error_ttl)  # its host is tried again then
    return source.error_ttl


def _jittered(seconds: float, luck: float) -> float:
    """Return up to a tenth less: never longer than was configured."""
    return seconds * (1 - _JITTER * luck)
