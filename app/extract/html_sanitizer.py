"""Sanitises hostile HTML: the elements keep their order, are properly nested, and are within limits.

The tree construction of HTML (WHATWG, 13.2.6) is not a linear algorithm. Its cost is quadratic in the nesting depth and
in the number of attributes of a tag, it reopens unclosed formatting elements in each paragraph, and it may copy text
repeatedly. lexbor takes 7 s for 40,000 nested ``<div>``, 0.2 s for 10,000 attributes, and 1.1 GB of memory for 34 kB of
``<p><b id=1><p><b id=2>...``.

``sanitize`` therefore tokenises a page by the rules of 13.2.5, keeps a simple stack of open elements, and writes the
page again with an end tag for each element. Comments and all text outside scripts are dropped. An element beyond a
limit is dropped, but its children are kept. A parser has little to repair in the result. For ordinary markup, it builds
the same tree of elements from the result as from the original page.
"""

import re
from itertools import islice

from app.extract.html_tokenizer import is_self_closing, read_tags, split_attributes

MAX_ELEMENTS = 20_000  # per page; the rest of the page is dropped
MAX_TOKENS = 4 * MAX_ELEMENTS  # tags and declarations per page; an end tag without a start tag costs as much as another
MAX_DEPTH = 64  # nested elements
MAX_FORMATTING = 8  # open formatting elements, each of which may be reopened in each paragraph
MAX_ATTRIBUTES = 128  # per tag
_SHORT_TAG = 512  # characters; shorter tags have too few attributes to be worth counting


def _elements(names: str) -> frozenset[str]:
    return frozenset(names.split())


_ELEMENT_NAME = re.compile(r"[a-z][a-z0-9:_-]{0,63}")

#: Written once and never closed, because a parser also puts the elements after their end tags inside them.
_SINGLETONS = frozenset({"html", "head", "body"})
#: Dropped, but their children are kept. The content of <noscript> is wanted because no script runs here, <frameset>
#: would replace the body, and <plaintext> never ends.
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
_COMMON = _BLOCKS | _VOID | _FORMATTING | _elements("g label path script span style svg use")
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
    for tag, name, raw_text in read_tags(html, MAX_TOKENS):
        if tag["slash"]:
            page.end_tag(name)
        elif raw_text is not None:
            page.raw_text_element(name, tag[0], raw_text)
        else:
            page.start_tag(name, tag[0], is_self_closing=is_self_closing(tag))
        if page.element_count >= MAX_ELEMENTS:
            break
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
        # Inside <svg>, or after "<!--", a "<" could start a tag even in a script (13.2.5.20). In JSON strings, the
        # escape sequence has the same meaning.
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

        The tag is ignored if the element is not open, or if it contains open elements that the tag cannot close.
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
        if name not in _COMMON and (
            name in _DROPPED or name in self._written_singletons or _ELEMENT_NAME.fullmatch(name) is None
        ):
            return False
        if len(tag) > _SHORT_TAG and next(islice(split_attributes(tag), MAX_ATTRIBUTES, None), None) is not None:
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
