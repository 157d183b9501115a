"""The values that a lookup is about: which item, and what is known of its cover. All are frozen.

A record keeps an *outcome*, not just a URL, because every reason for having no cover has its own lifetime and its own
fault: a shop that blocks us for an hour must not look like an item that has no cover.
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
    """One item: the name of its source and its id there. Its ``str`` is its key in memory and stores."""

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


_ERRORS: dict[Outcome, type[LookupFailed]] = {
    Outcome.NO_SUCH_ITEM: NoSuchItem,
    Outcome.NO_COVER: NoCover,
    Outcome.BLOCKED: Blocked,
    Outcome.THROTTLED: Throttled,
    Outcome.ORIGIN_FAILED: OriginFailed,
    Outcome.TOO_SLOW: TooSlow,
}


def error_for_outcome(outcome: Outcome, text: str, *, status: int = 0, retry_after: float = 0.0) -> LookupFailed:
    """Return the exception that an outcome is. Raises KeyError for FOUND, which is none."""
    error = _ERRORS[outcome]
    if issubclass(error, OriginError):
        return error(text, retry_after, status=status)
    return error(text, status=status)


def outcome_of(error: LookupFailed) -> Outcome:
    """Return the outcome that an exception is: that of the class nearest to its own."""
    return next(outcome for kind in type(error).__mro__ for outcome, known in _ERRORS.items() if known is kind)


#: What else a lookup or a fetch may come to: too much was waiting, the fault is ours, the page has not changed.
OVERLOADED, INTERNAL_ERROR, NOT_MODIFIED = "overloaded", "internal_error", "not_modified"


def outcome_label(error: Exception) -> str:
    """Return the word for what an exception means: an outcome, ``OVERLOADED`` or ``INTERNAL_ERROR``."""
    if isinstance(error, LookupFailed):
        return outcome_of(error)
    return OVERLOADED if isinstance(error, Overloaded) else INTERNAL_ERROR


class CoverRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=1, gc=False):
    """What is known of one item's cover.

    ``url`` is absolute where the outcome is ``FOUND``, else empty. ``rule`` is the position of the rule that found it
    among its source's, -1 where none did, and ``made_by`` the fingerprint of that source. ``error`` says why there is
    no cover; beside a URL it says why the last refresh failed. ``etag`` and ``last_modified`` are the page's validators
    (RFC 9110, 8.8).

    ``status`` is the HTTP status of the page that said so, 0 where there was no answer, and ``final_url`` its URL where
    that is not the one that was asked for. ``misses`` has the rules that were tried in vain, each with its reason.

    The times are seconds since the epoch: the page was fetched at ``fetched_at``, and what it said is fresh until
    ``fresh_until``. After a refresh that failed, the origin is not asked again before ``not_before``.

    The tag is the version of the form in which stores keep it: another form takes another one. Fields that are added at
    the end, with a default, are no other form.
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
        """Whether there is a cover: what memory and stores hold precious."""
        return self.outcome is Outcome.FOUND

    @property
    def refresh_due_at(self) -> float:
        """When the origin may be asked again."""
        return self.fresh_until if self.not_before is None else self.not_before

    def to_error(self, now: float) -> LookupFailed:
        """Return a fresh exception that says why there is no cover. Raises KeyError where there is one."""
        if self.outcome is not Outcome.THROTTLED:
            return error_for_outcome(self.outcome, self.error, status=self.status)
        seconds = max(1, math.ceil(self.fresh_until - now))
        text = f"{self.error}; ask again in {seconds} seconds"
        return error_for_outcome(self.outcome, text, status=self.status, retry_after=seconds)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CoverRecord).decode


def encode_record(record: CoverRecord) -> bytes:
    """Return the record as memory and stores keep it: some 130 bytes, a quarter of what the object takes."""
    return _encode(record)


def decode_record(data: bytes) -> CoverRecord:
    """Return the record that was kept as ``data``. Raises ValueError for bytes that are none."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, TypeError) as error:
        raise ValueError(f"no record: {error}") from error


class FoundCover(msgspec.Struct, frozen=True, kw_only=True):
    """A cover that was found on its page just now; the fields are those of ``CoverRecord``."""

    url: str
    rule: int
    status: int
    final_url: str = ""
    misses: tuple[str, ...] = ()
    etag: str = ""
    last_modified: str = ""


class CacheStatus(enum.StrEnum):
    """Where an answer came from."""

    MEMORY = "memory"
    STORE = "store"
    STALE = "stale"
    FETCHED = "fetched"


class LookupResult(msgspec.Struct, frozen=True):
    """A record, and where it came from this time."""

    record: CoverRecord
    cache: CacheStatus


def format_timestamp(seconds: float) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC, such as ``2026-11-22T12:45:21Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
