"""Response patterns: the outcome of a response, which is determined before any rule is tried."""

import time
from typing import Any

import pytest

from app.config.challenge_pages import CHALLENGE_PAGES
from app.config.css_selector import CssSelector
from app.config.response_patterns import ResponsePattern, ResponsePatterns
from app.config.rules import Regex, Rule
from app.config.source import Source
from app.config.url_templates import PageUrlTemplate
from app.domain.records import Outcome
from app.extract.engine import MAX_CHALLENGE, Extraction, extract
from tests.extract import sample_pages as pages

RULE = Rule(css=CssSelector("img"))


def source_with(**patterns: Any) -> Source:
    """Return a source with these response patterns, in the syntax of the configuration."""
    parsed: dict[str, Any] = {key: ResponsePatterns.parse(value) for key, value in ({"blocked": []} | patterns).items()}
    return Source(page_url=PageUrlTemplate("https://shop.example/{id}"), extract=[RULE], **parsed)


def default_source(rule: Rule = RULE) -> Source:
    """Return a source with the default response patterns: those of challenge pages."""
    return Source(page_url=PageUrlTemplate("https://shop.example/{id}"), extract=[rule])


def extract_with(body: str | bytes, source: Source, charset: str | None = None) -> Extraction:
    page = body.encode() if isinstance(body, str) else body
    return extract(
        page,
        rules=source.extract,
        page_url="https://shop.example/1",
        charset=charset,
        response_patterns=source.response_patterns,
    )


@pytest.mark.parametrize("page", pages.CHALLENGES.values(), ids=pages.CHALLENGES)
def test_a_challenge_page_is_blocked(page: str) -> None:
    """The status is 200, and the page has an image that the rule would match."""
    found = extract_with(
        f"{page}<img src=/logo.png>",
        source_with(blocked=[{"regex": str(pattern.regex)} for pattern in CHALLENGE_PAGES]),
    )
    assert (found.outcome, found.url, found.rule, found.misses) == (Outcome.BLOCKED, "", -1, ())
    assert found.matched_pattern.startswith("regex ")


@pytest.mark.parametrize("pattern", CHALLENGE_PAGES, ids=str)
def test_each_challenge_pattern_matches_a_sample(pattern: ResponsePattern) -> None:
    source = source_with(blocked=[{"regex": str(pattern.regex)}])
    assert any(extract_with(page, source).outcome for page in pages.CHALLENGES.values())


@pytest.mark.parametrize("page", pages.ORDINARY.values(), ids=pages.ORDINARY)
def test_an_ordinary_page_with_bot_protection_is_not_blocked(page: str) -> None:
    assert extract_with(page, default_source()).outcome is None


def test_a_challenge_in_another_encoding_is_blocked() -> None:
    page = pages.CHALLENGES["ozon, in Russian"].encode("windows-1251")
    assert extract_with(page, default_source(), charset="windows-1251").outcome is Outcome.BLOCKED


def test_blocked_patterns_are_searched_at_the_start_of_a_page() -> None:
    """A match further behind is on a page about challenges. The patterns of other outcomes match anywhere."""
    page = "x" * MAX_CHALLENGE + "window._cf_chl_opt = {}; gone"
    assert extract_with(page, default_source()).outcome is None
    assert extract_with(page, source_with(not_found="gone")).outcome is Outcome.NO_SUCH_ITEM


@pytest.mark.parametrize(
    ("pattern", "page", "is_match"),
    [
        ("sold out", "<p>it is sold out</p>", True),
        ("sold out", "<p>it is Sold Out</p>", False),
        ({"regex": "(?i)sold (out|off)"}, "<p>it is Sold Off</p>", True),
        ({"css": "p.gone"}, "<p class=gone>", True),
        ({"css": "p.gone"}, "<p>gone", False),
        ({"json": "error.code == `800`"}, '{"error": {"code": 800}}', True),
        ({"json": "error.code == `800`"}, '{"error": {"code": 801}}', False),
        ({"json": "error"}, '{"error": {"code": 1}}', True),
        ({"json": "error"}, '{"error": 0}', True),
        ({"json": "error"}, '{"error": {}}', False),
        ({"json": "error"}, '{"error": []}', False),
        ({"json": "error"}, '{"error": ""}', False),
        ({"json": "error"}, '{"error": null}', False),
        ({"json": "error"}, '{"error": false}', False),
        ({"json": "error"}, "{}", False),
        ({"json": "error"}, "<html>error", False),
        ({"json": "length(error)"}, '{"error": 5}', False),
        ({"status": 204}, "status 204", False),
        ([{"css": "b"}, {"json": "a"}, "x"], "<p>x", True),
        ([], "x", False),
    ],
)
def test_each_kind_of_pattern(pattern: Any, page: str, is_match: bool) -> None:  # noqa: FBT001 - a column of the table
    """A JMESPath result is true as in JMESPath, which includes 0. A page that is not JSON has no result."""
    found = extract_with(page, source_with(failed=pattern))
    assert found.outcome is (Outcome.ORIGIN_FAILED if is_match else None)
    assert bool(found.matched_pattern) == is_match


def test_the_first_matching_outcome_wins() -> None:
    """The order is throttled, blocked, not_found, failed; that of the configuration and of the page does not matter."""
    patterns = {"failed": "d", "not_found": ["x", {"css": "p"}], "blocked": "b", "throttled": {"regex": "a"}}
    outcomes = [extract_with(page, source_with(**patterns)).outcome for page in ("<p>dba", "<p>db", "<p>d", "d", "")]
    assert outcomes == [
        Outcome.THROTTLED,
        Outcome.BLOCKED,
        Outcome.NO_SUCH_ITEM,
        Outcome.ORIGIN_FAILED,
        None,
    ]


def test_an_extraction_names_the_matched_pattern() -> None:
    assert (
        extract_with("<p>fab_chlg_1", source_with(blocked=["a{9}", "fab_chlg_"])).matched_pattern == "regex fab_chlg_"
    )
    assert extract_with("<p>fab_chlg_1", source_with(throttled={"css": "p"})).matched_pattern == "css p"


def test_a_status_pattern_sets_the_outcome() -> None:
    source = source_with(
        throttled=[{"status": 403}, {"status": 503}], not_found={"status": 400}, failed={"status": 403}
    )
    statuses = (403, 503, 400, 200, 404, 500)
    assert [source.outcome_for_status(status) for status in statuses] == [
        Outcome.THROTTLED,
        Outcome.THROTTLED,
        Outcome.NO_SUCH_ITEM,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("rule", "patterns", "needs_parser"),
    [
        (Rule(regex=Regex("x")), {}, False),
        (Rule(regex=Regex("x")), {"failed": "x"}, False),
        (Rule(regex=Regex("x")), {"failed": {"css": "p"}}, True),
        (Rule(meta="og:image"), {}, True),
    ],
)
def test_needs_html_parser(rule: Rule, patterns: Any, needs_parser: bool) -> None:  # noqa: FBT001 - as above
    parsed: dict[str, Any] = {key: ResponsePatterns.parse(value) for key, value in patterns.items()}
    source = Source(page_url=PageUrlTemplate("https://x/{id}"), extract=[rule], **parsed)
    assert source.needs_html_parser == needs_parser


def test_challenge_patterns_are_cheap() -> None:
    """They take some 100 microseconds, whatever the length of the page. Parsing its HTML takes 14,000."""
    page = "".join(f'<div class="c{n}"><a href="/item/{n}"><img data-x="{n}"></a> id="{n}"</div>' for n in range(900))
    patterns_only = default_source(Rule(regex=Regex("^$")))
    html_only = source_with()
    times = [(seconds(page, patterns_only), seconds(page, html_only)) for _ in range(10)]
    assert min(searching for searching, _ in times) < 0.1 * min(parsing for _, parsing in times)


def seconds(page: str, source: Source) -> float:
    """Return the duration of one extraction."""
    started_at = time.perf_counter()
    extract_with(page, source)
    return time.perf_counter() - started_at
