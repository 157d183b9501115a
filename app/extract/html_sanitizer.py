"""Hostile markup made tame: the same elements in the same order, nested properly and within limits.

The tree construction of HTML (WHATWG, 13.2.6) is no linear algorithm: it costs the square of the depth and of the
attributes of one tag, opens formatting elements left open again in each paragraph, and may copy text when more follows.
In lexbor 40,000 nested ``<div>`` take 7 s, 10,000 attributes 0.2 s, and 34 kB of ``<p><b id=1><p><b id=2>...`` 1.1 GB.

So a page is read here first, by the rules of the tokenizer (13.2.5) but with a plain stack, and written anew: each
element is closed where it ends; there are no comments, and no texts but scripts; what exceeds a limit is left out, but
not what is in it. A parser that reads the outcome has little to repair, and finds the elements that it would have found
in the page itself, where that was no riddle.
"""

import re
from itertools import islice

MAX_ELEMENTS = 20_000  # of a page; the rest is cut off. Selectors such as :nth-child cost the square of it
MAX_TOKENS = 4 * MAX_ELEMENTS  # tags of both kinds: an end tag that ends nothing costs as much as another
MAX_DEPTH = 64  # a selector "a b c" costs up to the square of it for each element
MAX_FORMATTING = 8  # of them open at once: each may be opened again for each paragraph
MAX_ATTRIBUTES = 128  # of one tag
MAX_TAG = 65_536  # characters of a tag; the rest is taken for text
_SHORT_TAG = 512  # characters: too few for attributes that matter, so they are not counted

_SPACE = r"\t\n\f\r "
_ATTRIBUTE = (
    rf"[^{_SPACE}/>][^{_SPACE}/>=]*+"
    rf"""(?:[{_SPACE}]*+=[{_SPACE}]*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^{_SPACE}>]*+))?+"""
)
# Each alternative ends with the text if nothing else ends it, and no repetition gives back what it took: a match that
# has begun does not fail, the whole scan is linear, and keeps no ways back: a tag of 2 MB would need 700 MB for them.
# (A group inside a possessive repetition is a SystemError in 3.11, so the gap stands behind it.)
_TOKEN = re.compile(
    rf"<(?:(?P<slash>/?)(?P<name>[a-zA-Z][^{_SPACE}/>]*+)(?:[{_SPACE}/]*+{_ATTRIBUTE})*+"
    rf"(?P<gap>[{_SPACE}/]*+)(?:(?P<closed>>)|\Z)"
    r"|[!?/][^>]*+(?:>|\Z))",
    re.DOTALL,
)
# One call of a regular expression keeps the interpreter to itself, so none may take long: 2 MB of "<" would take 0.1 s.
_BEGINNING = re.compile(r"<[a-zA-Z!?/]")
_COMMENT_END = re.compile(r"--!?>")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ATTRIBUTES = re.compile(_ATTRIBUTE)
_NAME = re.compile(r"[a-z][a-z0-9:_-]{0,63}")

_RAW_TEXT = {
    name: re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE)
    for name in ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
}
_ONCE = frozenset({"html", "head", "body"})  # never closed: what follows their end tags is a part of them all the same
#: No scripts run here, so what is in <noscript> counts; a frameset would replace the body; a plaintext never ends.
_LEFT_OUT = frozenset({"noscript", "frameset", "plaintext"})
_VOID = _names("area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr")
_FORMATTING = _names("a b big code em font i nobr s small strike strong tt u")
_TABLE = _names("caption colgroup table tbody td tfoot th thead tr")
_SCOPES = _names("button caption object select table td template th")
_PARAGRAPHS_END = _names(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p pre search section summary table ul"
)
_BLOCKS = _TABLE | _SCOPES | _PARAGRAPHS_END
_SECTIONS = _names("p tbody td tfoot th thead tr")
#: Which open element a start tag ends, where its author left the end tag out (13.1.2.4).
_ENDED_BY = {name: frozenset({"p"}) for name in _PARAGRAPHS_END} | {
    "dd": _names("dd dt p"),
    "dt": _names("dd dt p"),
    "li": _names("li p"),
    "option": _names("option"),
    "tbody": _SECTIONS,
    "td": _names("p td th"),
    "tfoot": _SECTIONS,
    "th": _names("p td th"),
    "thead": _SECTIONS,
    "tr": _names("p td th tr"),
}


def sanitize(html: str) -> str:
    """Return ``html`` as markup that costs a parser no more than its length. Any text will do; nothing is raised."""
    page = _Page()
    position = tokens = 0
    while (
        page.elements < MAX_ELEMENTS
        and tokens < MAX_TOKENS
        and (beginning := _BEGINNING.search(html, position)) is not None
    ):
        if html.startswith("<!--", beginning.start()):
            # "<!-->" and "<!--->" are whole comments.
            ending = _COMMENT_END.search(html, beginning.start() + 2)
            position = len(html) if ending is None else ending.end()
            continue
        token = _TOKEN.match(html, beginning.start(), beginning.start() + MAX_TAG)
        position = beginning.end() if token is None else token.end()
        tokens += 1
        if token is None:
            continue
        slash, name, gap, closed = token.groups()
        if closed is None:
            continue  # a comment, a doctype, or a tag that the end of the page cuts off
        name = name.lower()
        if slash:
            page.end(name)
            continue
        is_empty = gap.endswith("/")  # <br/>, but not <a href=/x/>
        if name in _RAW_TEXT and not is_empty:
            ending = _RAW_TEXT[name].search(html, position)
            position = len(html) if ending is None else ending.start()
            page.raw_text(name, token[0], html[token.end() : position])
        else:
            page.start(name, token[0], is_empty=is_empty)
    return "".join(page.written)


class _Page:
    """The page as it is written anew, and the names of the elements that are open in it, outermost first."""

    def __init__(self) -> None:
        self.written = ["<!doctype html>"]
        self.open: list[str] = []
        self.elements = 0
        self._once: set[str] = set()

    def raw_text(self, name: str, tag: str, content: str) -> None:
        """Write an element that holds no markup; only of scripts the content is wanted."""
        if not self._admits(name, tag):
            return
        # Within <svg>, or after "<!--", a "<" could begin a tag even here (13.2.5.20). In JSON this is the same text.
        content = content.replace("<", r"\u003c") if name == "script" else ""
        self.written += tag, content, f"</{name}>"

    def start(self, name: str, tag: str, *, is_empty: bool) -> None:
        """Write a start tag, after the end tags that it implies."""
        while self.open and self.open[-1] in _ENDED_BY.get(name, ()):
            self._close()
        if not self._admits(name, tag):
            return
        if name in _ONCE:
            self.written.append(tag)
        elif name in _VOID:
            self.written.append(f"{tag[:-1]} />")  # within <svg> it would not be empty without the slash
        elif is_empty:
            self.written += tag, f"</{name}>"
        elif self._has_room(name):
            self.written.append(tag)
            self.open.append(name)

    def end(self, name: str) -> None:
        """Close an element and those open within it, unless it is not open, or too far out to be meant."""
        if name not in self.open:
            return
        within = self.open[len(self.open) - self.open[::-1].index(name) :]
        if name in _TABLE or (_SCOPES if name in _BLOCKS else _BLOCKS).isdisjoint(within):
            for _ in range(len(within) + 1):
                self._close()

    def _close(self) -> None:
        self.written.append(f"</{self.open.pop()}>")

    def _admits(self, name: str, tag: str) -> bool:
        """Whether an element may be written at all; counts it."""
        if name in _LEFT_OUT or name in self._once or _NAME.fullmatch(name) is None:
            return False
        if len(tag) > _SHORT_TAG and next(islice(_ATTRIBUTES.finditer(tag), MAX_ATTRIBUTES, None), None) is not None:
            return False
        if name in _ONCE:
            self._once.add(name)
        self.elements += 1
        return True

    def _has_room(self, name: str) -> bool:
        """Whether one more element may be opened here."""
        if len(self.open) >= MAX_DEPTH:
            return False
        return name not in _FORMATTING or sum(element in _FORMATTING for element in self.open) < MAX_FORMATTING
