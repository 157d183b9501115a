"""The values of a lookup: item ids, outcomes and cover records. All are frozen.

A record keeps an *outcome*, not just a URL, because each reason for having no cover has its own lifetime and its own
fault. A shop that blocks the service for an hour must not be reported as an item without a cover.
"""

import enum
import math
from datetime import UTC, datetime

import msgspec

from app.domain.errors import (
    Blocked,
    LookupFailed,
    NoCover,
    NoSuchItem,
    OriginError,
    OriginFailed,
    Overloaded,
    Throttled,
    TooSlow,
)


class ItemId(msgspec.Struct, frozen=True):
    """One item: the name of its source and its id in that source. ``str(item)`` is its key in memory and in stores."""

    source: str
    id: str

    def __str__(self) -> str:
        return f"{self.source}:{self.id}"


class Outcome(enum.StrEnum):
    """The result of fetching an item's page and reading it."""

    FOUND = "found"
    NO_SUCH_ITEM = "no_such_item"
    NO_COVER = "no_cover"
    BLOCKED = "blocked"
    THROTTLED = "throttled"
    ORIGIN_FAILED = "origin_failed"
    TOO_SLOW = "too_slow"


_ERRORS: dict[Outcome, type[LookupFailed]] = {
    Outcome.NO_SUCH_ITEM: NoSuchItem,
    Outcome.NO_COVER: NoCover,
    Outcome.BLOCKED: Blocked,
    Outcome.THROTTLED: Throttled,
    Outcome.ORIGIN_FAILED: OriginFailed,
    Outcome.TOO_SLOW: TooSlow,
}
_OUTCOMES = {error: outcome for outcome, error in _ERRORS.items()}


def error_for_outcome(outcome: Outcome, text: str, *, status: int = 0, retry_after: float = 0.0) -> LookupFailed:
    """Return an exception for an outcome. Raises KeyError for FOUND."""
    error = _ERRORS[outcome]
    if issubclass(error, OriginError):
        return error(text, retry_after, status=status)
    return error(text, status=status)


def outcome_of(error: LookupFailed) -> Outcome:
    """Return the outcome that an exception stands for: that of its class, or of the nearest base class with one."""
    return next(_OUTCOMES[cls] for cls in type(error).__mro__ if cls in _OUTCOMES)


#: Further labels of a lookup or a page request: overload of this worker, a bug, and a page that has not changed (304).
OVERLOADED, INTERNAL_ERROR, NOT_MODIFIED = "overloaded", "internal_error", "not_modified"


def outcome_label(error: Exception) -> str:
    """Return the label that counters use for an exception: an outcome, ``OVERLOADED`` or ``INTERNAL_ERROR``."""
    if isinstance(error, LookupFailed):
        return outcome_of(error)
    return OVERLOADED if isinstance(error, Overloaded) else INTERNAL_ERROR


class CoverRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=1, gc=False):
    """The cached result of the last fetch of one item.

    ``url`` is the cover's absolute URL if ``outcome`` is ``FOUND``, else empty. ``rule`` is the index of the rule that
    found it, or -1, and ``source_fingerprint`` the fingerprint of the source at that time. ``error`` says why there is
    no cover or, next to a URL, why the last refresh failed. ``etag`` and ``last_modified`` are the page's validators
    (RFC 9110, 8.8).

    ``status`` is the HTTP status of the page, or 0 if there was no response. ``final_url`` is the page's URL if
    redirects changed it, else empty. ``misses`` lists the rules that found nothing, each with its reason.

    Times are seconds since the epoch. The page was fetched at ``fetched_at``, and the record is fresh until
    ``fresh_until``. After a failed refresh, the origin is not requested again before ``not_before``.

    ``tag`` is the version of the encoding in stores. An incompatible change needs another tag; appending a field with
    a default value is compatible.
    """

    outcome: Outcome
    fetched_at: float
    fresh_until: float
    not_before: float | None = None
    url: str = ""
    rule: int = -1
    source_fingerprint: int = 0
    error: str = ""
    etag: str = ""
    last_modified: str = ""
    status: int = 0
    final_url: str = ""
    misses: tuple[str, ...] = ()

    @property
    def is_found(self) -> bool:
        """Whether the record has a cover. Memory and stores keep such records longer than others."""
        return self.outcome is Outcome.FOUND

    @property
    def refresh_due_at(self) -> float:
        """The time from which the origin may be requested again."""
        return self.fresh_until if self.not_before is None else self.not_before

    def to_error(self, now: float) -> LookupFailed:
        """Return a new exception that says why there is no cover. Raises KeyError if there is one."""
        if self.outcome is not Outcome.THROTTLED:
            return error_for_outcome(self.outcome, self.error, status=self.status)
        seconds = max(1, math.ceil(self.fresh_until - now))
        text = f"{self.error}; ask again in {seconds} seconds"
        return error_for_outcome(self.outcome, text, status=self.status, retry_after=seconds)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CoverRecord).decode


def encode_record(record: CoverRecord) -> bytes:
    """Encode a record for memory and stores, as MessagePack: some 130 bytes, a quarter of the object's size."""
    return _encode(record)


def decode_record(data: bytes) -> CoverRecord:
    """Decode a record. Raises ValueError for bytes that are not an encoded record."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, TypeError) as error:
        raise ValueError(f"not a cover record: {error}") from error


class FoundCover(msgspec.Struct, frozen=True, kw_only=True):
    """A cover that was just found on its page. The fields have the same meaning as in ``CoverRecord``."""

    url: str
    rule: int
    status: int
    final_url: str = ""
    misses: tuple[str, ...] = ()
    etag: str = ""
    last_modified: str = ""


class CacheStatus(enum.StrEnum):
    """Where the result of a lookup came from."""

    MEMORY = "memory"
    STORE = "store"
    STALE = "stale"
    FETCHED = "fetched"


class LookupResult(msgspec.Struct, frozen=True):
    """The record that a lookup returns, and where it came from."""

    record: CoverRecord
    cache: CacheStatus


def format_timestamp(seconds: float) -> str:
    """Format seconds since the epoch as an RFC 3339 timestamp in UTC, such as ``2026-11-22T12:45:21Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
