"""A page as rules read it: as text, as an HTML tree or as JSON. Each form is made once, when it is first used."""

import functools
import re
from collections import Counter
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from app.config.css_selector import counts_siblings
from app.extract.charset import detect_codec
from app.extract.css_query import select_elements
from app.extract.html_sanitizer import sanitize
from app.extract.image_url import MAX_LENGTH

#: JSON values per page. JMESPath expressions over 2 MB of "[],[],[]" take ten seconds.
MAX_VALUES = 100_000
#: Children of one element. A selector that counts siblings visits, on average, half of them for each child.
MAX_SIBLINGS = 1_000

_RAW_CONTROLS = re.compile(r"[\x00-\x1f]+")


class UnreadablePage(Exception):
    """The page cannot be read in the form that a rule needs. The text is a short reason."""


class Document:
    """One page. ``charset`` is the parameter of its Content-Type header, if there is one."""

    def __init__(self, body: bytes, charset: str | None = None) -> None:
        self._body = body
        self._charset = charset

    @functools.cached_property
    def text(self) -> str:
        """The decoded text, with U+FFFD for undecodable bytes."""
        return self._body.decode(self._codec, "replace").removeprefix("\ufeff")

    @functools.cached_property
    def utf8(self) -> bytes:
        """The text as UTF-8. For a page in UTF-8 these are the unchanged bytes, even if they are not valid."""
        return self._body if self._codec == "utf_8" else self.text.encode()

    def select(self, selector: str) -> list[LexborNode]:
        """Return the elements that a CSS selector matches, in document order.

        Raises:
            UnreadablePage: the page cannot be parsed, or the selector is not valid.

        """
        if self._tree is None:
            raise UnreadablePage("the page cannot be parsed")
        if counts_siblings(selector) and self._most_siblings > MAX_SIBLINGS:
            raise UnreadablePage(f"an element has more than {MAX_SIBLINGS} children, too many to be counted")
        try:
            return select_elements(self._tree, selector)
        except (ValueError, SelectolaxError):
            raise UnreadablePage("the selector is not valid") from None

    def base_url(self, page_url: str) -> str:
        """Return the document base URL (WHATWG, 2.4.3): that of ``<base href>``, else the URL of the page.

        Raises:
            UnreadablePage: the page cannot be parsed.

        """
        for element in self.select("base[href]")[:1]:
            try:
                url = urljoin(page_url, (element.attributes["href"] or "")[: MAX_LENGTH + 1].strip())
                # With an unusable base, every match would be unusable. Joining the matches of one rule with a base of
                # 2 MB would take seconds.
                if urlsplit(url).scheme in {"http", "https"} and len(url) <= MAX_LENGTH:
                    return url
            except ValueError:
                break
        return page_url

    @property
    def json(self) -> Any:
        """The value of a JSON page. Raises UnreadablePage if the page is not JSON, or JSON beyond the limits."""
        value, problem = self._json
        if problem:
            raise UnreadablePage(problem)
        return value

    @functools.cached_property
    def json_ld(self) -> list[Any]:
        """The values of the JSON-LD blocks. Invalid blocks are ignored, but if all are, UnreadablePage is raised."""
        scripts = [script.text() for script in self.select('script[type^="application/ld+json" i]')]
        left = MAX_VALUES
        results = [parse_json(script) for script in scripts if (left := left - _count_values(script)) >= 0]
        if scripts and not results:
            raise UnreadablePage(f"its JSON-LD: {_TOO_MANY_VALUES}")
        values = [value for value, problem in results if not problem]
        if results and not values:
            raise UnreadablePage(f"its JSON-LD: {results[0][1]}")
        return values

    @functools.cached_property
    def _codec(self) -> str:
        return detect_codec(self._body, self._charset)

    @functools.cached_property
    def _tree(self) -> LexborHTMLParser | None:
        try:
            return LexborHTMLParser(sanitize(self.text))
        except SelectolaxError:
            return None

    @functools.cached_property
    def _most_siblings(self) -> int:
        elements = self._tree.css("*") if self._tree is not None else []
        counts = Counter(element.parent.mem_id for element in elements if element.parent is not None)
        return max(counts.values(), default=0)

    @functools.cached_property
    def _json(self) -> tuple[Any, str]:
        return parse_json(self.text)


_TOO_MANY_VALUES = "JSON with too many values"


def parse_json(text: str) -> tuple[Any, str]:
    """Return the value of a JSON text and "", or None and a short reason why it cannot be read.

    Raw line breaks and tabs inside strings, which are common in descriptions, are read as spaces. The limits are those
    of msgspec (less than a thousand levels, numbers of 64 bits, no NaN, no lone surrogates) and ``MAX_VALUES``.
    """
    if _count_values(text) > MAX_VALUES:
        return None, _TOO_MANY_VALUES
    try:
        return msgspec.json.decode(_RAW_CONTROLS.sub(" ", text)), ""
    except RecursionError:
        return None, "JSON nested too deeply"
    except msgspec.ValidationError:
        return None, "JSON with a number out of range"
    except (msgspec.DecodeError, UnicodeError):
        return None, "not valid JSON"


def _count_values(text: str) -> int:
    """Return an upper limit of the number of values in a JSON text. Commas inside strings are counted too."""
    return text.count(",") + text.count("[") + text.count("{")
