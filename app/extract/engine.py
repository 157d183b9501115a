"""The extraction engine: classifies a page by response patterns, then applies rules until one finds a usable URL.

Pages are hostile. No page makes ``extract`` raise, and its cost grows linearly with the size of the page
(``app.extract.html_sanitizer`` ensures this for HTML).
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from app.config.response_patterns import PatternsByOutcome, ResponsePattern
from app.config.rules import HTML_RULE_KINDS, Rule, compile_jmespath, compile_regex
from app.domain.records import Outcome
from app.extract.document import Document, UnreadablePage
from app.extract.image_url import UnusableMatch, absolute_url, decode_entities
from app.extract.json_ld import find_json_ld_images
from app.extract.meta_tags import find_meta_contents
from app.extract.srcset import largest_image

MAX_CANDIDATES = 100  # matches of one rule that are tried; a page full of unusable ones has no usable one
#: The first bytes of a page, in which challenge patterns are searched. Challenge pages are short, and searching for all
#: patterns takes 3 ns per byte of an ordinary page.
MAX_CHALLENGE = 16_384


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """The result of ``extract``.

    If a response pattern matched, ``outcome`` is its outcome and ``matched_pattern`` its text, and no rule was tried.
    Otherwise ``url`` is the absolute URL of the cover and ``rule`` the index of the rule that found it, or "" and -1 if
    none did. ``misses`` has, for each rule that found nothing, ``"<rule>: <short reason>"``.

    ``is_malformed`` is true if the source expects JSON and the page is not JSON. It says nothing about the item then.
    """

    url: str = ""
    rule: int = -1
    misses: tuple[str, ...] = ()
    is_malformed: bool = False
    outcome: Outcome | None = None
    matched_pattern: str = ""


def extract(
    body: bytes,
    *,
    rules: Sequence[Rule],
    page_url: str,
    charset: str | None = None,
    image_url: str | None = None,
    response_patterns: PatternsByOutcome = (),
) -> Extraction:
    """Try the response patterns, then the rules in order until one finds a cover. Never raises.

    ``page_url`` is the final URL of the page, the base of relative URLs. ``charset`` is the parameter of its
    Content-Type header. ``image_url`` is the template with ``{match}`` for rules without a template of their own.
    """
    document = Document(body, charset)
    if (classified := _classify(document, response_patterns)) is not None:
        outcome, pattern = classified
        return Extraction(outcome=outcome, matched_pattern=str(pattern))
    misses: list[str] = []
    is_malformed = False
    for index, rule in enumerate(rules):
        try:
            url = _first_url(rule, document, page_url, rule.image_url or image_url)
        except (UnreadablePage, UnusableMatch) as miss:
            misses.append(f"{rule}: {miss}")
            is_malformed |= rule.json is not None and isinstance(miss, UnreadablePage)
        else:
            return Extraction(url=url, rule=index, misses=tuple(misses))
    # A source with rules for HTML accepts pages that are not JSON.
    is_malformed &= not any(rule.kind in HTML_RULE_KINDS for rule in rules)
    return Extraction(misses=tuple(misses), is_malformed=is_malformed)


def _classify(document: Document, response_patterns: PatternsByOutcome) -> tuple[Outcome, ResponsePattern] | None:
    """Return the first pattern that matches the page, and its outcome."""
    for outcome, patterns in response_patterns:
        if not patterns:
            continue
        end = MAX_CHALLENGE if outcome is Outcome.BLOCKED else len(document.utf8)
        # One search with the combined expression is enough for an ordinary page, which no pattern matches.
        regex = patterns.combined_regex
        may_match_regex = regex is not None and _matches_regex(document, regex, end)
        for pattern in patterns:
            if (may_match_regex or pattern.regex is None) and _matches(document, pattern, end):
                return outcome, pattern
    return None


def _matches(document: Document, pattern: ResponsePattern, end: int) -> bool:
    try:
        if pattern.regex is not None:
            return _matches_regex(document, pattern.regex, end)
        if pattern.css is not None:
            return bool(document.select(str(pattern.css)))
        if pattern.json is not None:
            # Truth as in JMESPath (https://jmespath.org/specification.html#or-expressions): 0 is true.
            value = _search_json(document, pattern.json)
            return value is not None and value is not False and value not in ("", [], {})
    except (UnreadablePage, UnusableMatch):
        pass
    return False


def _matches_regex(document: Document, regex: str, end: int) -> bool:
    return compile_regex(regex).search(document.utf8, 0, end) is not None


def _first_url(rule: Rule, document: Document, page_url: str, image_url: str | None) -> str:
    """Return the first usable URL among the matches of a rule.

    Raises:
        UnreadablePage: the page is not in the form that the rule reads.
        UnusableMatch: there is no usable match; the text is the reason for the first one.

    """
    reason = "no match"
    matches = list(itertools.islice(_find_matches(rule, document), MAX_CANDIDATES))
    base = document.base_url(page_url) if matches and rule.kind in HTML_RULE_KINDS else page_url
    for index, match in enumerate(matches):
        try:
            return absolute_url(match, base=base, template=image_url)
        except UnusableMatch as unusable:
            if index == 0:
                reason = str(unusable)
    raise UnusableMatch(reason)


def _find_matches(rule: Rule, document: Document) -> Iterable[str]:
    if rule.regex is not None:
        return _search_regex(document, rule.regex)
    if rule.css is not None:
        return _attribute_values(document, rule.css, (rule.attribute or "src").lower())
    if rule.meta is not None:
        return find_meta_contents(document, rule.meta)
    if rule.jsonld is not None:
        return find_json_ld_images(document, rule.jsonld)
    value = _search_json(document, str(rule.json))
    values = value if isinstance(value, list) else [value]
    return (decode_entities(text) for text in values if isinstance(text, str))


def _search_regex(document: Document, regex: str) -> Iterator[str]:
    pattern = compile_regex(regex)
    match = pattern.search(document.utf8)
    if match is None:
        return
    group = match.group(1) if pattern.groups else None
    text = (match.group(0) if group is None else group).decode("utf-8", "replace")
    yield decode_entities(text.replace("\\/", "/"))  # JSON in a script may escape slashes


def _attribute_values(document: Document, selector: str, attribute: str) -> Iterator[str]:
    for element in document.select(str(selector)):
        value = element.attributes.get(attribute)
        if value:
            yield largest_image(value) if attribute.endswith("srcset") else value


def _search_json(document: Document, path: str) -> Any:
    value = document.json
    try:
        return compile_jmespath(path).search(value)
    except Exception as error:  # noqa: BLE001 - functions raise any Python exception on hostile data
        raise UnusableMatch(f"the expression failed: {type(error).__name__}") from None
