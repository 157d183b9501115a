"""A page as rules see it: its bytes as text, as a tree of HTML, as JSON; each made once, and only when asked for."""

import codecs
import encodings
import encodings.aliases
import functools
import re
from collections import Counter
from typing import Any

import msgspec
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from app.config.css_selector import counts_siblings
from app.extract.css_query import select_elements
from app.extract.html_sanitizer import sanitize

_META_WINDOW = 1024  # bytes in which a page must name its encoding (WHATWG, 13.2.3.2)
_META_CHARSET = re.compile(rb"""<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([A-Za-z0-9._:-]+)""", re.IGNORECASE)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)
#: What pages mean by a name (https://encoding.spec.whatwg.org/), where it is more than what Python means by it.
_SUPERSETS = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "latin_1": "cp1252",
    "shift_jis": "cp932",
    "tis_620": "cp874",
    "windows_874": "cp874",
    "x_gbk": "gb18030",
    "x_sjis": "cp932",
}
#: The encodings of the web as Python names them. A name is looked up here first: Python has codecs that are none (zlib,
#: idna, utf-7), and it remembers each name that it was ever asked for.
_CODECS = frozenset(
    {"utf_8", "utf_16", "utf_16_le", "utf_16_be", "gb18030", "big5hkscs", "cp932", "euc_jp", "iso2022_jp", "cp949"}
    | {"koi8_r", "koi8_u", "cp866", "cp874", "mac_cyrillic", "mac_roman"}
    | {f"cp125{page}" for page in range(9)}
    | {f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)}
)
#: Values of JSON that are read from a page: expressions over 2 MB of "[],[],[]" take ten seconds.
MAX_VALUES = 100_000
#: Children of one element, where a selector counts them: it costs half of that for each child.
MAX_SIBLINGS = 1_000

_RAW_CONTROLS = re.compile(r"[\x00-\x1f]+")


class UnreadablePage(Exception):
    """The page is not what a rule reads. The text says why, in a few words."""


class Document:
    """One page. Making one costs nothing."""

    def __init__(self, body: bytes, charset: str | None = None) -> None:
        """``charset`` is what the HTTP header said, if it did."""
        self._body = body
        self._charset = charset
        self._utf8: bytes | None = None

    @property
    def codec(self) -> str:
        """The codec of the bytes: by the header, the byte order mark, ``<meta>``, else UTF-8.

        A name that is none counts as no name. Nothing is guessed from the bytes: that is slow, and wrong.
        """
        if (codec := _find_codec(self._charset)) is not None:
            return codec
        for mark, codec in _BYTE_ORDER_MARKS:
            if self._body.startswith(mark):
                return codec
        declared = _META_CHARSET.search(self._body, 0, _META_WINDOW)
        codec = _find_codec(declared[1].decode()) if declared is not None else None
        # A declaration that could be read as ASCII is not in UTF-16 (WHATWG, 13.2.3.2).
        return codec if codec is not None and not codec.startswith("utf_16") else "utf_8"

    @functools.cached_property
    def text(self) -> str:
        """The text, with U+FFFD where bytes are none."""
        return self._body.decode(self.codec, "replace").removeprefix("\ufeff")

    @property
    def utf8(self) -> bytes:
        """The text as UTF-8; the very bytes of a page that is said to be UTF-8."""
        if self._utf8 is None:
            self._utf8 = self._body if self.codec == "utf_8" else self.text.encode()
        return self._utf8

    def select(self, selector: str) -> list[LexborNode]:
        """Return the elements that a CSS selector matches, in the order of the page.

        Raises Unreadable when the page or the selector is none that the parser takes.
        """
        if self._tree is None:
            raise UnreadablePage("the page cannot be parsed")
        if counts_siblings(selector) and self._most_siblings > MAX_SIBLINGS:
            raise UnreadablePage(f"an element has more than {MAX_SIBLINGS} children, too many to be counted")
        try:
            return select_elements(self._tree, selector)
        except (ValueError, SelectolaxError):
            raise UnreadablePage("the selector is not valid") from None

    @property
    def json(self) -> Any:
        """The value that the page is. Raises Unreadable when it is no JSON, or JSON past the limits."""
        value, problem = self._json
        if problem:
            raise UnreadablePage(problem)
        return value

    @functools.cached_property
    def linked_data(self) -> list[Any]:
        """The values of the JSON-LD blocks that can be read. Raises Unreadable when none can."""
        scripts = self.select('script[type^="application/ld+json" i]')
        texts = [script.text() for script in scripts]
        left = MAX_VALUES
        blocks = [parse_json(text) for text in texts if (left := left - _count_values(text)) >= 0]
        if texts and not blocks:
            raise UnreadablePage(f"its JSON-LD: {_TOO_MANY}")
        values = [value for value, problem in blocks if not problem]
        if blocks and not values:
            raise UnreadablePage(f"its JSON-LD: {blocks[0][1]}")
        return values

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


def parse_json(text: str) -> tuple[Any, str]:
    """Return the value of ``text`` and ``""``, or None and why there is none, in a few words.

    Raw line ends and tabs inside strings, which descriptions often have, are read as blanks. The limits are msgspec's:
    less than a thousand levels, numbers of 64 bits, no NaN, no lone surrogates; and at most some 100,000 values.
    """
    if _count_values(text) > MAX_VALUES:
        return None, _TOO_MANY
    try:
        return msgspec.json.decode(_RAW_CONTROLS.sub(" ", text)), ""
    except RecursionError:
        return None, "JSON nested too deeply"
    except msgspec.ValidationError:
        return None, "JSON with a number out of range"
    except (msgspec.DecodeError, UnicodeError):
        return None, "no valid JSON"


_TOO_MANY = "JSON of too many values"


def _count_values(text: str) -> int:
    """Return how many values a text of JSON has at most: the commas of its strings are counted as well."""
    return text.count(",") + text.count("[") + text.count("{")


@functools.lru_cache(256)
def _find_codec(name: str | None) -> str | None:
    """Return Python's codec for the name of an encoding of the web, or None."""
    if name is None or not name.isascii():
        return None
    label = encodings.normalize_encoding(name.strip(" \t\"'")).lower()
    codec = encodings.aliases.aliases.get(label, label)
    codec = _SUPERSETS.get(codec, codec)
    return codec if codec in _CODECS else None
