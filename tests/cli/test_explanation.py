"""The record of an item as text."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.cli.explanation import explanation

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def test_fields_stand_one_below_the_other() -> None:
    """In the order in which they came; those that do not apply are left out, and each miss has a line."""
    record: dict[str, Any] = {
        "outcome": "no_cover",
        "url": "",
        "source": "shop",
        "status": 200,
        "misses": ["meta og:image: not there", "css img: not there"],
        "fetched_at": "2026-11-22T11:57:00Z",
    }
    assert list(explanation(record, NOW)) == [
        "outcome     no_cover",
        "source      shop",
        "status      200",
        "misses      meta og:image: not there",
        "            css img: not there",
        "fetched_at  2026-11-22 11:57:00 UTC, 3 minutes ago",
    ]


def test_a_record_that_says_nothing_has_no_lines() -> None:
    assert list(explanation({"url": "", "status": 0, "misses": []}, NOW)) == []


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
def test_a_time_is_told_as_people_read_it(time: str, text: str) -> None:
    assert list(explanation({"fresh_until": time}, NOW)) == [f"fresh_until  {text}"]


def test_what_a_page_says_cannot_play_with_the_terminal() -> None:
    assert list(explanation({"error": "one\ntwo \x1b[2J\x9b"}, NOW)) == ["error  one two \ufffd[2J\ufffd"]
