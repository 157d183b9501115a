"""The extraction engine: classifies a page by response patterns, then applies rules until one finds a usable URL.

Pages may be hostile. ``extract`` raises no exception for any page, and its cost is linear in the size of the page. For
HTML, ``app.extract.html_sanitizer`` ensures the linear cost.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from app.config.response_patterns import OutcomePatterns, ResponsePattern
from app.config.rules import HTML_RULE_KINDS, Rule, compile_jmespath, compile_regex
from app.domain.records import Outcome
from app.extract.document import Document, UnreadablePage
from app.extract.image_url import UnusableMatch, absolute_url, decode_entities
from app.extract.json_ld import find_json_ld_images
from app.extract.meta_tags import find_meta_contents
from app.extract.microdata import find_microdata_images
from app.extract.srcset import largest_image

MAX_CANDIDATES = 100  # matches of one rule that are tried; if these are unusable, another one is unlikely to be usable
#: Bytes at the start of a page in which the ``regex`` patterns of ``blocked`` are searched. Challenge pages are short,
#: and a search for all challenge patterns takes 3 ns per byte of an ordinary page.
MAX_CHALLENGE = 16_384


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """The result of ``extract``.

    If a response pattern matched, ``outcome`` is its outcome and ``matched_pattern`` its text, and no rule was tried.
    Otherwise ``url`` is the absolute URL of the cover and ``rule`` is the index of the rule that found it. If no rule
    found a cover, they are "" and -1. ``misses`` has ``"<rule>: <short reason>"`` for each rule that found nothing.

    ``is_malformed`` is true if the source expects JSON and the page cannot be read as JSON. Such a page says nothing
    about the item.
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
    https: bool = False,
    reject: Sequence[str] = (),
    response_patterns: OutcomePatterns = (),
) -> Extraction:
    """Try the response patterns, then the rules in order until one finds a cover. Raises no exceptions.

    ``page_url`` is the URL of the page after redirects, against which relative URLs are resolved. ``charset`` is the
    parameter of the Content-Type header of the page. ``image_url`` is the template with ``{match}`` for rules without a
    template of their own. ``https`` and ``reject`` are those of ``absolute_url``.
    """
    document = Document(body, charset)
    if (classified := _classify(document, response_patterns)) is not None:
        outcome, pattern = classified
        return Extraction(outcome=outcome, matched_pattern=str(pattern))
    misses: list[str] = []
    is_malformed = False
    for index, rule in enumerate(rules):
        template = rule.image_url or image_url
        to_url = functools.partial(absolute_url, template=template, https=https, reject=reject)
        try:
            url = _first_url(rule, document, page_url, to_url)
        except (UnreadablePage, UnusableMatch) as miss:
            misses.append(f"{rule}: {miss}")
            is_malformed |= rule.json is not None and isinstance(miss, UnreadablePage)
        else:
            return Extraction(url=url, rule=index, misses=tuple(misses))
    # A source with rules for HTML accepts pages that are not JSON.
    is_malformed &= not any(rule.kind in HTML_RULE_KINDS for rule in rules)
    return Extraction(misses=tuple(misses), is_malformed=is_malformed)


def _classify(document: Document, response_patterns: OutcomePatterns) -> tuple[Outcome, ResponsePattern] | None:
    """Return the first pattern that matches the page, with its outcome, or None."""
    for outcome, patterns in response_patterns:
        if not patterns:
            continue
        end = MAX_CHALLENGE if outcome is Outcome.BLOCKED else len(document.utf8)
        # No pattern matches an ordinary page, so one search with the combined expression is enough for such a page.
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
            # JMESPath (https://jmespath.org/specification.html#or-expressions), unlike Python, treats 0 as true.
            value = _search_json(document, pattern.json)
            return value is not None and value is not False and value not in ("", [], {})
    except (UnreadablePage, UnusableMatch):
        pass
    return False


def _matches_regex(document: Document, regex: str, end: int) -> bool:
    return compile_regex(regex).search(document.utf8, 0, end) is not None


def _first_url(rule: Rule, document: Document, page_url: str, to_url: Callable[..., str]) -> str:
    """Return the first usable URL among the matches of a rule, which ``to_url`` converts.

    Raises:
        UnreadablePage: the page is not in the form that the rule reads.
        UnusableMatch: there is no match, or none is usable. The text says why the first match is not usable.

    """
    reason = "no match"
    matches = list(itertools.islice(_find_matches(rule, document), MAX_CANDIDATES))
    base = document.base_url(page_url) if matches and rule.kind in HTML_RULE_KINDS else page_url
    for index, match in enumerate(matches):
        try:
            return to_url(match, base=base)
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
        return find_json_ld_images(document, rule.jsonld, rule.type)
    if rule.microdata is not None:
        return find_microdata_images(document, rule.microdata, rule.type)
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
    except Exception as error:  # noqa: BLE001 - JMESPath functions may raise any exception on hostile data
        raise UnusableMatch(f"the expression failed: {type(error).__name__}") from None
