"""The character encoding of a page: from a byte order mark, the Content-Type header or ``<meta charset>``."""

import codecs
import functools
import re

import webencodings

from app.extract.html_tokenizer import read_tags, split_attributes

_UNCONDITIONAL_WINDOW = 1024  # bytes in which a declaration counts even after the head
_MAX_HEAD_TOKENS = 2000  # tags and comments that are searched for a declaration; a head has a hundred or two

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: The Python codecs of encodings for which webencodings returns another codec. The Encoding Standard
#: (https://encoding.spec.whatwg.org/) decodes GBK as gb18030. None means that the encoding is not supported.
_CODECS = {"gbk": "gb18030", "x-user-defined": None, "replacement": None}

#: The elements of a head, after which browsers still look for a declaration, besides <html> and <head>.
_HEAD_TAGS = frozenset({"script", "noscript", "style", "link", "meta", "object", "title", "base"})
_JSON_START = re.compile(rb"\s*[{\[]")
_LABEL = re.compile(r"\s*([a-z0-9._:-]{1,64})\s*", re.ASCII | re.IGNORECASE)
_CONTENT_TYPE_LABEL = re.compile(r"""charset\s*=\s*["']?\s*([a-z0-9._:-]{1,64})""", re.ASCII | re.IGNORECASE)


def detect_codec(body: bytes, charset: str | None) -> str:
    """Return the name of the Python codec for a page (WHATWG, 13.2.3.2).

    The encoding is the first one that is given by a byte order mark, ``charset`` or ``<meta>``, otherwise UTF-8.
    ``charset`` is the parameter of the Content-Type header. Unknown labels are ignored. The encoding is never guessed
    from the text, because that would be slow and unreliable.
    """
    for mark, codec in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return codec
    return _codec_of(charset) or _declared_codec(body) or "utf-8"


def _declared_codec(body: bytes) -> str | None:
    """Return the codec of the first ``<meta>`` that declares a known encoding, or None.

    As in browsers, the whole head is searched, and at least the first 1,024 bytes of the page. The head ends at the
    first tag that cannot be in a head. A JSON page declares no encoding, even if there is HTML in its strings.
    """
    if _JSON_START.match(body) is not None:
        return None
    is_head = True
    for tag, name, _ in read_tags(body.decode("latin-1"), _MAX_HEAD_TOKENS):
        is_head &= name in _HEAD_TAGS or (name in {"html", "head"} and not tag["slash"])
        if not is_head and tag.start() >= _UNCONDITIONAL_WINDOW:
            return None
        if name == "meta" and (codec := _codec_of(_declared_label(tag[0]))) is not None:
            # A declaration that is readable as ASCII cannot be in UTF-16.
            return "utf-8" if codec.startswith("utf-16") else codec
    return None


def _declared_label(meta: str) -> str | None:
    """Return the encoding label in a ``<meta charset>`` or ``<meta http-equiv=content-type>``, or None."""
    attributes: dict[str, str] = {}
    for attribute in split_attributes(meta):
        name, _, value = attribute.partition("=")
        attributes.setdefault(name.strip().lower(), value.strip().strip("\"'"))
    if "charset" in attributes:
        label = _LABEL.fullmatch(attributes["charset"])
    elif attributes.get("http-equiv", "").lower() == "content-type":
        label = _CONTENT_TYPE_LABEL.search(attributes.get("content", ""))
    else:
        label = None
    return label[1] if label is not None else None


@functools.lru_cache(256)
def _codec_of(label: str | None) -> str | None:
    """Return the name of the Python codec for an encoding label, or None for an unknown label.

    webencodings looks labels up in the table of the Encoding Standard. Python's own lookup also finds codecs that are
    not encodings of text (zlib, idna) or not used on the web (utf-7), and it caches every name that is looked up.
    """
    encoding = webencodings.lookup((label or "").strip(" \t\"'").lower())
    if encoding is None:
        return None
    name: str = encoding.codec_info.name
    return _CODECS.get(name, name)
