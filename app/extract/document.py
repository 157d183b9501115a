"""A page in the forms that rules read: text, HTML tree and JSON. Each form is created when it is first used."""

import functools
from collections import Counter
from typing import Any
from urllib.parse import urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from app.config.css_selector import counts_siblings
from app.extract.charset import detect_codec
from app.extract.css_query import select_elements
from app.extract.html_sanitizer import sanitize
from app.extract.image_url import MAX_LENGTH
from app.extract.json_text import MAX_VALUES, TOO_MANY_VALUES, count_values, parse_json, parse_script

#: The limit on children of one element for selectors that count siblings. For each child, such a selector visits half
#: of the siblings on average.
MAX_SIBLINGS = 1_000


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
        """The text as UTF-8. If the page is in UTF-8, these are its unchanged bytes, even if some are invalid."""
        return self._body if self._codec == "utf-8" else self.text.encode()

    def select(self, selector: str) -> list[LexborNode]:
        """Return the elements that a CSS selector matches, in document order.

        Raises:
            UnreadablePage: the page cannot be parsed, or the selector is not valid.

        """
        if self._tree is None:
            raise UnreadablePage("the page cannot be parsed")
        if counts_siblings(selector) and self._most_siblings > MAX_SIBLINGS:
            raise UnreadablePage(
                f"an element has more than {MAX_SIBLINGS} children, too many for a selector that counts siblings"
            )
        try:
            return select_elements(self._tree, selector)
        except (ValueError, SelectolaxError):
            raise UnreadablePage("the selector is not valid") from None

    def base_url(self, page_url: str) -> str:
        """Return the document base URL (WHATWG, 2.4.3): that of the first ``<base href>``, or else the URL of the page.

        Raises:
            UnreadablePage: the page cannot be parsed.

        """
        for element in self.select("base[href]")[:1]:
            try:
                url = urljoin(page_url, (element.attributes["href"] or "")[: MAX_LENGTH + 1].strip())
                # A base with another scheme would make all relative matches unusable. Joining the matches of one rule
                # with a base of 2 MB would take seconds.
                if urlsplit(url).scheme in {"http", "https"} and len(url) <= MAX_LENGTH:
                    return url
            except ValueError:
                break
        return page_url

    @property
    def json(self) -> Any:
        """The value of a JSON page. Raises UnreadablePage if ``parse_json`` cannot read the page."""
        value, problem = self._json
        if problem:
            raise UnreadablePage(problem)
        return value

    @functools.cached_property
    def json_ld(self) -> list[Any]:
        """The values of the JSON-LD blocks, without invalid blocks. Raises UnreadablePage if all blocks are invalid."""
        scripts = [script.text() for script in self.select('script[type^="application/ld+json" i]')]
        remaining = MAX_VALUES
        results = [parse_script(script) for script in scripts if (remaining := remaining - count_values(script)) >= 0]
        if scripts and not results:
            raise UnreadablePage(f"its JSON-LD: {TOO_MANY_VALUES}")
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
