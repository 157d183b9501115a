"""Tests of the freshness of records, of their encoding, and of the steady clock."""

import msgspec
import pytest

from app.concurrency.clock import steady_clock
from app.domain.errors import LookupFailed, NoCover, NoSuchItem, OriginFailed, Throttled, TooSlow
from app.domain.records import CoverRecord, Outcome, decode_record, encode_record
from app.lookup.freshness import Freshness, clamp_to_clock, failed_record, freshness_of, retention_seconds
from tests.support.clock import ManualClock
from tests.support.lookup_harness import SHOP


def record(outcome: Outcome = Outcome.FOUND, fetched_at: float = 0, fresh_until: float = 100) -> CoverRecord:
    return CoverRecord(outcome=outcome, fetched_at=fetched_at, fresh_until=fresh_until)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (0, Freshness.FRESH),
        (99.9, Freshness.FRESH),
        (100, Freshness.STALE_WHILE_REVALIDATE),
        (119.9, Freshness.STALE_WHILE_REVALIDATE),
        (120, Freshness.STALE_IF_ERROR),
        (1119.9, Freshness.STALE_IF_ERROR),
        (1120, Freshness.EXPIRED),
    ],
)
def test_a_found_cover_passes_through_four_states(now: float, expected: Freshness) -> None:
    assert freshness_of(record(), SHOP, now) is expected


@pytest.mark.parametrize("outcome", set(Outcome) - {Outcome.FOUND})
def test_any_other_record_is_fresh_and_then_expired(outcome: Outcome) -> None:
    assert freshness_of(record(outcome), SHOP, 99.9) is Freshness.FRESH
    assert freshness_of(record(outcome), SHOP, 100) is Freshness.EXPIRED


def test_a_record_is_retained_until_it_expires() -> None:
    assert retention_seconds(record(), SHOP, 50) == 1070
    assert retention_seconds(record(Outcome.BLOCKED), SHOP, 50) == 50


def test_a_record_from_the_past_is_not_changed() -> None:
    assert clamp_to_clock(record(), 50) == record()


def test_a_record_from_the_future_counts_as_fetched_now() -> None:
    future = msgspec.structs.replace(record(fetched_at=1000, fresh_until=1100), not_before=1110)
    past = msgspec.structs.replace(record(fetched_at=50, fresh_until=150), not_before=160)
    assert clamp_to_clock(future, 50) == past


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (NoCover("no rule matches"), SHOP.negative_ttl),
        (NoSuchItem("404"), SHOP.negative_ttl),
        (Throttled("slow down", 3600), 3600),
        (Throttled("slow down"), SHOP.error_ttl),
        (OriginFailed("its circuit is open", 4), 4),
        (OriginFailed("its circuit is open", 3600), SHOP.error_ttl),
        (OriginFailed("500"), SHOP.error_ttl),
        (TooSlow("late"), SHOP.error_ttl),
    ],
)
def test_a_failure_is_cached_for_the_lifetime_of_its_kind(error: LookupFailed, seconds: float) -> None:
    assert failed_record(None, SHOP, error, now=50, jitter=0).fresh_until == 50 + seconds


def test_the_steady_clock_starts_at_the_wall_clock_and_does_not_jump_with_it() -> None:
    wall, monotonic = ManualClock(1_700_000_000.0), ManualClock(5.0)
    clock = steady_clock(wall=wall, monotonic=monotonic)
    assert clock() == 1_700_000_000.0
    wall.now -= 3600
    monotonic.now += 2
    assert clock() == 1_700_000_002.0


def test_a_decoded_record_equals_the_encoded_one() -> None:
    complete = CoverRecord(
        outcome=Outcome.FOUND,
        fetched_at=1.5,
        fresh_until=2.5,
        not_before=2.5,
        url="https://x/é",
        rule=1,
        error="late",
        etag='"a"',
        last_modified="b",
    )
    assert decode_record(encode_record(complete)) == complete


@pytest.mark.parametrize("data", [b"", b"\x90", b"\x01", b"garbage", encode_record(record())[:-1], b"\x94\x02"])
def test_decoding_invalid_bytes_raises_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a cover record"):
        decode_record(data)
