"""The tags of an HTML page, found by the tokenisation rules of the WHATWG standard (13.2.5) in linear time."""

import re
from collections.abc import Iterator

MAX_TAG = 65_536  # characters of a tag; the rest is read as text

_SPACE = r"\t\n\f\r "
_ATTRIBUTE = (
    rf"[^{_SPACE}/>][^{_SPACE}/>=]*+"
    rf"""(?:[{_SPACE}]*+=[{_SPACE}]*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^{_SPACE}>]*+))?+"""
)
# Each alternative may also end at the end of the text, and all repetitions are possessive. Therefore a match that has
# begun does not fail, and the whole scan is linear. Possessive repetitions keep no backtracking state, which would take
# 700 MB for a tag of 2 MB. "gap" follows the repetition, because Python 3.11 raises SystemError for a group inside a
# possessive repetition.
_TOKEN = re.compile(
    rf"<(?:(?P<slash>/?)(?P<name>[a-zA-Z][^{_SPACE}/>]*+)(?:[{_SPACE}/]*+{_ATTRIBUTE})*+"
    rf"(?P<gap>[{_SPACE}/]*+)(?:(?P<closed>>)|\Z)"
    r"|[!?/][^>]*+(?:>|\Z))",
    re.DOTALL,
)
# A search holds the GIL, so it must not take long. Searching 2 MB of "<" for _TOKEN itself would take 0.1 s.
_TOKEN_START = re.compile(r"<[a-zA-Z!?/]")
_COMMENT_END = re.compile(r"--!?>")
_RAW_TEXT = {
    name: re.compile(rf"</(?i:{name})(?=[{_SPACE}/>])")
    for name in ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
}
_ATTRIBUTES = re.compile(_ATTRIBUTE)


def read_tags(html: str, max_tokens: int) -> Iterator[tuple[re.Match[str], str, str | None]]:
    """Return the tags of a page in document order, up to ``max_tokens`` tags, comments and declarations.

    Each tag is a match with the groups ``slash`` (of an end tag) and ``gap`` (the white space and slashes before the
    final ``>``), with its name in lower case, and with the content of an element that cannot contain elements, such as
    a script. For all other tags, this content is None. Comments and a tag that is cut off at the end of the page are
    skipped. Any text is accepted.
    """
    position = 0
    for _ in range(max_tokens):
        found = _TOKEN_START.search(html, position)
        if found is None:
            return
        start = found.start()
        if html.startswith("<!--", start):
            # The search starts at the dashes of "<!--", because "<!-->" and "<!--->" are complete comments.
            end = _COMMENT_END.search(html, start + 2)
            position = len(html) if end is None else end.end()
            continue
        tag = _TOKEN.match(html, start, start + MAX_TAG)
        position = found.end() if tag is None else tag.end()
        if tag is None or tag["closed"] is None:
            continue  # text, a declaration, a processing instruction, or a tag that is cut off at the end of the page
        name = tag["name"].lower()
        if name in _RAW_TEXT and not tag["slash"] and not is_self_closing(tag):
            end = _RAW_TEXT[name].search(html, position)
            position = len(html) if end is None else end.start()
            yield tag, name, html[tag.end() : position]
        else:
            yield tag, name, None


def is_self_closing(tag: re.Match[str]) -> bool:
    """Return whether a tag ends with a slash that is no part of an attribute: ``<br/>``, but not ``<a href=/x/>``."""
    return str(tag["gap"]).endswith("/")


def split_attributes(tag: str) -> Iterator[str]:
    """Return the attributes of a tag as written, ``name`` or ``name=value``. The name of the tag is the first one."""
    return (match[0] for match in _ATTRIBUTES.finditer(tag))
