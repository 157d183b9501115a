"""From the bytes of a page to the URL of a cover, by the signs and rules of its source. Pure: bytes in, a value out.

Pages are hostile: whatever they hold, no rule raises, and none costs more than the page is long (what HTML needs for
that is in ``markup``). A rule that finds nothing usable is a miss with its reason, and the next one is tried.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from app.config.response_patterns import ResponsePattern, ResponsePatterns
from app.config.rules import HTML_RULE_KINDS, Rule, compile_jmespath, compile_regex
from app.domain.records import Outcome
from app.extract.document import Document, UnreadablePage
from app.extract.image_url import MAX_LENGTH, UnusableMatch, absolute_url, decode_entities

MAX_CANDIDATES = 100  # matches of one rule that are tried: a page full of bad ones has no good one
#: Bytes of a page in which a challenge shows: its page is short, and all signs of one are 3 ns for each byte of others.
MAX_CHALLENGE = 16_384
MAX_SRCSET = 65_536  # characters of one; there are some with a dozen data: URLs in them

#: The names that stand for one picture in <meta>, the best first.
_META_RELATIVES = {
    "og:image": ("og:image:secure_url", "og:image:url", "og:image"),
    "twitter:image": ("twitter:image:src", "twitter:image"),
}
# A URL without its blanks, and unless a comma ends it, its descriptor up to the next comma.
_SRCSET_CANDIDATE = re.compile(r"([^\s,]\S*)(?:(?<!,)\s+([^,]*))?")
_SRCSET_SIZE = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)

#: Signs by what they mean, in the order in which they are looked for.
PatternsByOutcome = tuple[tuple[Outcome, ResponsePatterns], ...]


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """What signs and rules made of a page.

    ``outcome`` is what the page means where a sign was found on it, and ``sign`` how that reads; no rule is tried then.
    ``url`` is the cover's absolute URL and ``rule`` the position of the rule that found it; empty and -1 when none did.
    ``misses`` has, for each rule tried in vain, ``"<rule>: <why, in a few words>"``. ``is_broken`` says that a rule
    wanted JSON and the page is none: such a page says nothing of its item.
    """

    url: str
    rule: int
    misses: tuple[str, ...]
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
    """Look for ``signs``, then try ``rules`` in order until one finds a cover. Raises nothing, whatever the page is.

    ``page_url`` is the final URL of the page, which relative matches are resolved against; ``charset`` is what its HTTP
    header said; ``image_url`` is the template with ``{match}`` that a match is put into, unless its rule has one.
    """
    document = Document(body, charset)
    if (found := _find_sign(response_patterns, document)) is not None:
        outcome, sign = found
        return Extraction(url="", rule=-1, misses=(), outcome=outcome, matched_pattern=str(sign))
    misses: list[str] = []
    is_broken = False
    for position, rule in enumerate(rules):
        try:
            url = _first_url(rule, document, page_url, rule.image_url or image_url)
        except (UnreadablePage, UnusableMatch) as miss:
            misses.append(f"{rule}: {miss}")
            is_broken |= rule.kind == "json" and isinstance(miss, UnreadablePage)
        else:
            return Extraction(url=url, rule=position, misses=tuple(misses))
    # Beside a rule for HTML, one for JSON does not say that nothing else may come.
    is_broken &= not any(rule.kind in HTML_RULE_KINDS for rule in rules)
    return Extraction(url="", rule=-1, misses=tuple(misses), is_malformed=is_broken)


def _find_sign(signs: PatternsByOutcome, document: Document) -> tuple[Outcome, ResponsePattern] | None:
    """Return the first sign that is on the page, and what it means."""
    for outcome, those in signs:
        if not those:
            continue
        end = MAX_CHALLENGE if outcome is Outcome.BLOCKED else len(document.utf8)
        # An ordinary page, which has none of them, is searched once.
        may_have_text = (pattern := those.combined_regex) is not None and _is_in(document.utf8, pattern, end)
        for sign in those:
            if (may_have_text or sign.regex is None) and _is_on(sign, document, end):
                return outcome, sign
    return None


def _is_on(sign: ResponsePattern, document: Document, end: int) -> bool:
    try:
        if sign.regex is not None:
            return _is_in(document.utf8, sign.regex, end)
        if sign.css is not None:
            return bool(document.select(str(sign.css)))
        if sign.json is not None:
            # A JMESPath truth (https://jmespath.org/specification.html#or-expressions): 0 is one.
            value = _search_json(str(sign.json), document)
            return value is not None and value is not False and value not in ("", [], {})
    except (UnreadablePage, UnusableMatch):
        pass
    return False


def _is_in(text: bytes, pattern: str, end: int) -> bool:
    """Tell whether a regular expression matches in the first ``end`` bytes of a text."""
    return compile_regex(pattern).search(text, 0, end) is not None


def _first_url(rule: Rule, document: Document, page_url: str, image_url: str | None) -> str:
    """Return the first usable URL of those that a rule finds, or raise the reason why the very first is not."""
    reason = "no match"
    matches = list(itertools.islice(_FINDERS[rule.kind](rule, document), MAX_CANDIDATES))
    base = _base_url(document, page_url) if matches and rule.kind in HTML_RULE_KINDS else page_url
    for number, match in enumerate(matches):
        try:
            return absolute_url(match, base=base, template=image_url)
        except UnusableMatch as unusable:
            if number == 0:
                reason = str(unusable)
    raise UnusableMatch(reason)


def _base_url(document: Document, page_url: str) -> str:
    """Return what the relative URLs of an HTML page are relative to: its ``<base href>``, else the page."""
    for element in document.select("base[href]")[:1]:
        try:
            base = urljoin(page_url, (element.attributes["href"] or "")[: MAX_LENGTH + 1].strip())
            # What is resolved against a base that is no URL would be none; against 2 MB, a hundred times, for seconds.
            if urlsplit(base).scheme in {"http", "https"} and len(base) <= MAX_LENGTH:
                return base
        except ValueError:
            break
    return page_url


def _find_by_regex(rule: Rule, document: Document) -> Iterator[str]:
    pattern = compile_regex(str(rule.regex))
    match = pattern.search(document.utf8)
    if match is None:
        return
    group = match.group(1) if pattern.groups else None
    text = (match.group(0) if group is None else group).decode("utf-8", "replace")
    yield decode_entities(text.replace("\\/", "/"))  # as JSON in a script writes a slash


def _find_by_css(rule: Rule, document: Document) -> Iterator[str]:
    attribute = (rule.attribute or "src").lower()
    for element in document.select(str(rule.css)):
        value = element.attributes.get(attribute)
        if value:
            yield _largest_of_srcset(value) if attribute.endswith("srcset") else value


def _find_by_meta(rule: Rule, document: Document) -> Iterator[str]:
    wanted = str(rule.meta).strip().lower()
    contents: dict[str, list[str]] = {}
    for element in document.select("meta[content]"):
        attributes = element.attributes
        for kind in ("property", "name", "itemprop"):
            name = (attributes.get(kind) or "").strip().lower()
            contents.setdefault(name, []).append(attributes["content"] or "")
    for name in _META_RELATIVES.get(wanted, (wanted,)):
        yield from filter(None, contents.get(name, ()))


def _find_by_jsonld(rule: Rule, document: Document) -> Iterator[str]:
    nodes = [node for value in document.linked_data for node in _nodes(value)]
    by_id = {node["@id"]: node for node in nodes if isinstance(node.get("@id"), str)}
    for node in nodes:
        for value in _as_list(node.get(str(rule.jsonld))):
            for text in _image_texts(value, by_id):
                yield decode_entities(text)


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Return the objects that describe the page: at the top, in arrays and in ``@graph``, in their order.

    Not those within their properties: the image of an author is not the image of the book.
    """
    pending = [value]
    while pending:
        match pending.pop():
            case list(values):
                pending += reversed(values)
            case dict(node):
                yield node
                pending.append(node.get("@graph"))


def _image_texts(value: Any, by_id: dict[str, Any]) -> Iterator[str]:
    """Return the URLs of one value: a text, an ImageObject, or a reference to one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        if value.keys() == {"@id"} and isinstance(value["@id"], str):
            value = by_id.get(value["@id"], {})
        for key in ("url", "contentUrl"):
            yield from (text for text in _as_list(value.get(key)) if isinstance(text, str))


def _find_by_json(rule: Rule, document: Document) -> Iterable[str]:
    found = _search_json(str(rule.json), document)
    return (decode_entities(text) for text in _as_list(found) if isinstance(text, str))


def _search_json(path: str, document: Document) -> Any:
    value = document.json
    try:
        return compile_jmespath(path).search(value)
    except Exception as error:  # noqa: BLE001 - on hostile data its functions raise what Python does, not jmespath
        raise UnusableMatch(f"the expression failed: {type(error).__name__}") from None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _largest_of_srcset(value: str) -> str:
    """Return the URL of the largest picture in a ``srcset`` (WHATWG, 4.8.4.2.1), the first of equals."""
    if len(value) > MAX_SRCSET:
        return ""

    def size(candidate: re.Match[str]) -> float:
        number = _SRCSET_SIZE.match(candidate[2] or "")
        return float(number[0]) if number is not None else 1.0

    best = max(_SRCSET_CANDIDATE.finditer(value), key=size, default=None)
    return best[1].rstrip(",") if best is not None else ""


_FINDERS: dict[str, Callable[[Rule, Document], Iterable[str]]] = {
    "regex": _find_by_regex,
    "css": _find_by_css,
    "meta": _find_by_meta,
    "jsonld": _find_by_jsonld,
    "json": _find_by_json,
}
