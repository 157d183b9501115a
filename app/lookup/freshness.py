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
from app.domain.records import CoverRecord, FoundCover, Outcome, outcome_of

_JITTER = 0.1


class Freshness(enum.Enum):
    """What may be done with a record."""

    FRESH = enum.auto()
    STALE_WHILE_REVALIDATE = enum.auto()
    STALE_IF_ERROR = enum.auto()
    EXPIRED = enum.auto()


def freshness_of(record: CoverRecord, source: Source, now: float) -> Freshness:
    """Return what may be done with a record of this source."""
    if now < record.fresh_until:
        return Freshness.FRESH
    if not record.is_found:
        return Freshness.EXPIRED
    if now < record.fresh_until + source.grace:
        return Freshness.STALE_WHILE_REVALIDATE
    if now < record.fresh_until + source.grace + source.keep:
        return Freshness.STALE_IF_ERROR
    return Freshness.EXPIRED


def is_refresh_due(record: CoverRecord, now: float) -> bool:
    """Tell whether the origin may be asked again."""
    return now >= record.refresh_due_at


def retention_seconds(record: CoverRecord, source: Source, now: float) -> float:
    """Return for how many seconds a record is worth keeping."""
    end = record.fresh_until
    if record.is_found:
        end += source.grace + source.keep
    return end - now


def clamp_to_clock(record: CoverRecord, now: float) -> CoverRecord:
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


def found_record(source: Source, cover: FoundCover, *, now: float, jitter: float) -> CoverRecord:
    """Return the record of a cover that was found on its page now."""
    return CoverRecord(
        outcome=Outcome.FOUND,
        fetched_at=now,
        fresh_until=now + _jittered(source.ttl, jitter),
        url=cover.url,
        rule=cover.rule,
        source_fingerprint=source.fingerprint,
        etag=cover.etag,
        last_modified=cover.last_modified,
        status=cover.status,
        final_url=cover.final_url,
        misses=cover.misses,
    )


def revalidated_record(record: CoverRecord, source: Source, *, now: float, jitter: float) -> CoverRecord:
    """Return the record of a cover whose page is what it was: 304."""
    end = now + _jittered(source.ttl, jitter)
    return msgspec.structs.replace(record, fetched_at=now, fresh_until=end, not_before=None, error="")


def failed_record(
    previous: CoverRecord | None, source: Source, error: LookupFailed, *, now: float, jitter: float
) -> CoverRecord:
    """Return what is known after the origin was asked in vain.

    A cover that is known outlives every failure until its ``keep`` ends, and so it does a page on which the rules find
    nothing: rules break more often than covers vanish. Only the origin's own "no such item" ends it.
    """
    lasts = _seconds_of_failure(source, error, jitter)
    if (
        previous is not None
        and previous.is_found
        and not isinstance(error, NoSuchItem)
        and freshness_of(previous, source, now) is not Freshness.EXPIRED
    ):
        return msgspec.structs.replace(previous, not_before=now + lasts, error=str(error))
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
