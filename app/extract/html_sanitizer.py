"""Sanitises hostile HTML: keeps the elements in their order, but properly nested and within limits.

The tree construction of HTML (WHATWG, 13.2.6) is not a linear algorithm. Its cost is quadratic in the nesting depth and
in the number of attributes of a tag, it reopens unclosed formatting elements in each paragraph, and it may copy text
repeatedly. lexbor takes 7 s for 40,000 nested ``<div>``, 0.2 s for 10,000 attributes, and 1.1 GB of memory for 34 kB of
``<p><b id=1><p><b id=2>...``.

So a page is first tokenised here, by the rules of 13.2.5 but with a simple stack of open elements, and written again
with an end tag for each element. Comments are dropped, and so is all text except that of scripts. An element beyond a
limit is dropped, but its children are kept. A parser has little to repair in the result. For ordinary markup it builds
the same tree of elements as from the original page.
"""

import re
from itertools import islice

MAX_ELEMENTS = 20_000  # per page; the rest is cut off. The cost of selectors such as :nth-child is quadratic in it
MAX_TOKENS = 4 * MAX_ELEMENTS  # start and end tags; an end tag without a start tag costs as much as any other
MAX_DEPTH = 64  # of nesting; the cost of a selector "a b c" per element is up to quadratic in it
MAX_FORMATTING = 8  # open formatting elements, each of which may be reopened in each paragraph
MAX_ATTRIBUTES = 128  # per tag
MAX_TAG = 65_536  # characters of a tag; the rest is read as text
_SHORT_TAG = 512  # characters; shorter tags have too few attributes to be worth counting

_SPACE = r"\t\n\f\r "
_ATTRIBUTE = (
    rf"[^{_SPACE}/>][^{_SPACE}/>=]*+"
    rf"""(?:[{_SPACE}]*+=[{_SPACE}]*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^{_SPACE}>]*+))?+"""
)
# Each alternative may also end at the end of the text, and all repetitions are possessive. So a match that has begun
# does not fail and the whole scan is linear. No backtracking state is kept: it would take 700 MB for a tag of 2 MB.
# (A group inside a possessive repetition raises SystemError in Python 3.11, so "gap" follows the repetition.)
_TOKEN = re.compile(
    rf"<(?:(?P<slash>/?)(?P<name>[a-zA-Z][^{_SPACE}/>]*+)(?:[{_SPACE}/]*+{_ATTRIBUTE})*+"
    rf"(?P<gap>[{_SPACE}/]*+)(?:(?P<closed>>)|\Z)"
    r"|[!?/][^>]*+(?:>|\Z))",
    re.DOTALL,
)
# A search holds the GIL, so it must not take long. Searching 2 MB of "<" for _TOKEN itself would take 0.1 s.
_TOKEN_START = re.compile(r"<[a-zA-Z!?/]")
_COMMENT_END = re.compile(r"--!?>")


def _elements(names: str) -> frozenset[str]:
    return frozenset(names.split())


_ATTRIBUTES = re.compile(_ATTRIBUTE)
_ELEMENT_NAME = re.compile(r"[a-z][a-z0-9:_-]{0,63}")

_RAW_TEXT = {
    name: re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE)
    for name in ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
}
#: Written once and never closed: a parser puts elements that follow their end tags inside them as well.
_SINGLETONS = frozenset({"html", "head", "body"})
#: Dropped, with their children kept: the content of <noscript> is wanted since no script runs here, <frameset> would
#: replace the body, and <plaintext> never ends.
_DROPPED = frozenset({"noscript", "frameset", "plaintext"})
_VOID = _elements("area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr")
_FORMATTING = _elements("a b big code em font i nobr s small strike strong tt u")
_TABLE = _elements("caption colgroup table tbody td tfoot th thead tr")
_SCOPES = _elements("button caption object select table td template th")
_CLOSES_PARAGRAPH = _elements(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p pre search section summary table ul"
)
_BLOCKS = _TABLE | _SCOPES | _CLOSES_PARAGRAPH
_CLOSED_BY_TABLE_SECTION = _elements("p tbody td tfoot th thead tr")
#: The open elements that a start tag closes, because their end tags are optional (13.1.2.4).
_IMPLIED_END_TAGS = {name: frozenset({"p"}) for name in _CLOSES_PARAGRAPH} | {
    "dd": _elements("dd dt p"),
    "dt": _elements("dd dt p"),
    "li": _elements("li p"),
    "option": _elements("option"),
    "tbody": _CLOSED_BY_TABLE_SECTION,
    "td": _elements("p td th"),
    "tfoot": _CLOSED_BY_TABLE_SECTION,
    "th": _elements("p td th"),
    "thead": _CLOSED_BY_TABLE_SECTION,
    "tr": _elements("p td th tr"),
}


def sanitize(html: str) -> str:
    """Return ``html`` as markup that a parser reads in time linear in its length. Accepts any text and never raises."""
    page = _SanitizedPage()
    position = tokens = 0
    while (
        page.element_count < MAX_ELEMENTS
        and tokens < MAX_TOKENS
        and (start := _TOKEN_START.search(html, position)) is not None
    ):
        if html.startswith("<!--", start.start()):
            # The search includes the dashes of "<!--": "<!-->" and "<!--->" are complete comments.
            end = _COMMENT_END.search(html, start.start() + 2)
            position = len(html) if end is None else end.end()
            continue
        token = _TOKEN.match(html, start.start(), start.start() + MAX_TAG)
        position = start.end() if token is None else token.end()
        tokens += 1
        if token is None:
            continue
        slash, name, gap, closed = token.groups()
        if closed is None:
            continue  # a declaration or processing instruction, or a tag that is cut off at the end of the page
        name = name.lower()
        if slash:
            page.end_tag(name)
            continue
        is_self_closing = gap.endswith("/")  # <br/>, but not <a href=/x/>
        if name in _RAW_TEXT and not is_self_closing:
            end = _RAW_TEXT[name].search(html, position)
            position = len(html) if end is None else end.start()
            page.raw_text_element(name, token[0], html[token.end() : position])
        else:
            page.start_tag(name, token[0], is_self_closing=is_self_closing)
    return "".join(page.output)


class _SanitizedPage:
    """The sanitised markup, with the stack of open elements."""

    def __init__(self) -> None:
        self.output = ["<!doctype html>"]
        self.element_count = 0
        self._open: list[str] = []
        self._written_singletons: set[str] = set()

    def raw_text_element(self, name: str, tag: str, content: str) -> None:
        """Write an element without child elements. The content is kept for scripts only."""
        if not self._accept(name, tag):
            return
        # Inside <svg>, or after "<!--", a "<" could start a tag even in a script (13.2.5.20). In JSON, the escape
        # sequence means the same.
        content = content.replace("<", r"\u003c") if name == "script" else ""
        self.output += tag, content, f"</{name}>"

    def start_tag(self, name: str, tag: str, *, is_self_closing: bool) -> None:
        """Write a start tag, after the end tags that it implies."""
        while self._open and self._open[-1] in _IMPLIED_END_TAGS.get(name, ()):
            self._close()
        if not self._accept(name, tag):
            return
        if name in _SINGLETONS:
            self.output.append(tag)
        elif name in _VOID:
            self.output.append(f"{tag[:-1]} />")  # inside <svg>, the element would not be empty without the slash
        elif is_self_closing:
            self.output += tag, f"</{name}>"
        elif self._can_open(name):
            self.output.append(tag)
            self._open.append(name)

    def end_tag(self, name: str) -> None:
        """Close an element and the elements inside it.

        The tag is ignored if the element is not open, or if the elements inside it are ones that the tag cannot close.
        """
        if name not in self._open:
            return
        inner = self._open[len(self._open) - self._open[::-1].index(name) :]
        if name in _TABLE or (_SCOPES if name in _BLOCKS else _BLOCKS).isdisjoint(inner):
            for _ in range(len(inner) + 1):
                self._close()

    def _close(self) -> None:
        self.output.append(f"</{self._open.pop()}>")

    def _accept(self, name: str, tag: str) -> bool:
        """Return whether an element may be written, and count it."""
        if name in _DROPPED or name in self._written_singletons or _ELEMENT_NAME.fullmatch(name) is None:
            return False
        if len(tag) > _SHORT_TAG and next(islice(_ATTRIBUTES.finditer(tag), MAX_ATTRIBUTES, None), None) is not None:
            return False
        if name in _SINGLETONS:
            self._written_singletons.add(name)
        self.element_count += 1
        return True

    def _can_open(self, name: str) -> bool:
        """Return whether the limits allow one more open element."""
        if len(self._open) >= MAX_DEPTH:
            return False
        return name not in _FORMATTING or sum(element in _FORMATTING for element in self._open) < MAX_FORMATTING
