"""The freshness of cover records, which follows from the durations of the source (``ttl``, ``grace``, ``keep``, ...).

A record of a found cover passes through four states, which have their names from RFC 9111 (4.2) and RFC 5861:

1. *fresh*, for ``ttl``: the record is served from the cache;
2. *stale-while-revalidate*, for ``grace``: the record is served, and a background refresh fetches the page;
3. *stale-if-error*, for ``keep``: the page is fetched first, and the record is served if the fetch fails;
4. *expired*: the record is not served any more.

A record without a cover has only two states: it is fresh, and then expired.

All functions are pure. ``now`` is in seconds since the epoch. ``jitter`` is a random number from 0 to 1 that shortens a
lifetime, so that records that were saved together do not expire together.
"""

import enum

import msgspec

from app.config.source import Source
from app.domain.errors import LookupFailed, NoCover, NoSuchItem, OriginError, Throttled
from app.domain.records import CoverRecord, FoundCover, Outcome, outcome_of

#: A jitter of 1 shortens a lifetime by this share.
_MAX_JITTER = 0.1


class Freshness(enum.Enum):
    """The states of a record. The docstring of the module explains them."""

    FRESH = enum.auto()
    STALE_WHILE_REVALIDATE = enum.auto()
    STALE_IF_ERROR = enum.auto()
    EXPIRED = enum.auto()


def freshness_of(record: CoverRecord, source: Source, now: float) -> Freshness:
    """Return the freshness of a record of this source."""
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
    """Return whether the record may be refreshed: its lifetime, or the wait after a failed refresh, has ended."""
    return now >= record.refresh_due_at


def retention_seconds(record: CoverRecord, source: Source, now: float) -> float:
    """Return the number of seconds until the record expires; negative if it has expired."""
    expires_at = record.fresh_until
    if record.is_found:
        expires_at += source.grace + source.keep
    return expires_at - now


def clamp_to_clock(record: CoverRecord, now: float) -> CoverRecord:
    """Return the record; if it was fetched in the future, move its times back so that it was fetched at ``now``.

    The times of a record may be in the future if another process saved the record and the clock of that process is
    ahead.
    """
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
    """Return the record of a cover that has just been extracted from its page."""
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
    """Return the record with a new lifetime. The origin has responded that its page has not changed (304)."""
    fresh_until = now + _jittered(source.ttl, jitter)
    return msgspec.structs.replace(record, fetched_at=now, fresh_until=fresh_until, not_before=None, error="")


def failed_record(
    previous: CoverRecord | None, source: Source, error: LookupFailed, *, now: float, jitter: float
) -> CoverRecord:
    """Return the record to save after a fetch that failed with ``error``.

    A previous record with a cover is kept until it expires, and its next refresh is postponed. It is kept even if the
    rules find no cover on the page, because a changed page layout is a more frequent cause of that than a removed
    cover. Only ``NoSuchItem`` replaces a cover that has not expired. If no record is kept, the failure is recorded.
    """
    lifetime = _failure_lifetime(source, error, jitter)
    if (
        previous is not None
        and previous.is_found
        and not isinstance(error, NoSuchItem)
        and freshness_of(previous, source, now) is not Freshness.EXPIRED
    ):
        return msgspec.structs.replace(previous, not_before=now + lifetime, error=str(error))
    return CoverRecord(
        outcome=outcome_of(error),
        fetched_at=now,
        fresh_until=now + lifetime,
        error=str(error),
        status=error.status,
        misses=error.misses if isinstance(error, NoCover) else (),
    )


def _failure_lifetime(source: Source, error: LookupFailed, jitter: float) -> float:
    """Return the number of seconds for which the failure is cached."""
    if isinstance(error, NoCover):
        return _jittered(source.negative_ttl, jitter)
    if isinstance(error, Throttled):
        return error.retry_after or source.error_ttl
    if isinstance(error, OriginError) and error.retry_after:
        return min(error.retry_after, source.error_ttl)  # after ``retry_after`` the host may be asked again
    return source.error_ttl


def _jittered(seconds: float, jitter: float) -> float:
    """Return the duration shortened by the jitter. The result is never longer than the configured duration."""
    return seconds * (1 - _MAX_JITTER * jitter)
