"""The text form of an ``explain_cover`` record."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.cli.explain import format_record

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def test_a_record_has_a_line_per_field() -> None:
    """Fields keep their order, empty fields are omitted, and each entry of a list has its own line."""
    record: dict[str, Any] = {
        "outcome": "no_cover",
        "url": "",
        "source": "shop",
        "status": 200,
        "misses": ["meta og:image: not there", "css img: not there"],
        "fetched_at": "2026-11-22T11:57:00Z",
    }
    assert list(format_record(record, NOW)) == [
        "outcome     no_cover",
        "source      shop",
        "status      200",
        "misses      meta og:image: not there",
        "            css img: not there",
        "fetched_at  2026-11-22 11:57:00 UTC, 3 minutes ago",
    ]


def test_a_record_with_only_empty_fields_has_no_lines() -> None:
    assert list(format_record({"url": "", "status": 0, "misses": []}, NOW)) == []


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2026-11-22T12:00:00Z", "2026-11-22 12:00:00 UTC, 0 seconds ago"),
        ("2026-11-22T11:59:59Z", "2026-11-22 11:59:59 UTC, 1 second ago"),
        ("2026-11-22T12:00:59Z", "2026-11-22 12:00:59 UTC, in 59 seconds"),
        ("2026-11-22T13:00:00Z", "2026-11-22 13:00:00 UTC, in 1 hour"),
        ("2026-12-22T11:00:00Z", "2026-12-22 11:00:00 UTC, in 29 days"),
        ("2026-13-22T11:00:00Z", "2026-13-22T11:00:00Z"),
    ],
)
def test_a_time_is_shown_with_its_distance_from_now(time: str, text: str) -> None:
    assert list(format_record({"fresh_until": time}, NOW)) == [f"fresh_until  {text}"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert list(format_record({"error": "one\ntwo \x1b[2J\x9b"}, NOW)) == ["error  one two \ufffd[2J\ufffd"]
