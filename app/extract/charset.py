"""The character encoding of a page: from the Content-Type header, a byte order mark or ``<meta charset>``."""

import codecs
import functools
import re

import webencodings

_META_WINDOW = 1024  # bytes in which a page must declare its encoding (WHATWG, 13.2.3.2)
_META_CHARSET = re.compile(rb"""<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([A-Za-z0-9._:-]+)""", re.IGNORECASE)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: The Python codecs of labels and encodings for which webencodings returns another codec. The Encoding Standard
#: (https://encoding.spec.whatwg.org/) decodes GBK as gb18030, and the label "utf-16" as UTF-16LE. Python's "utf-16" is
#: used for this label because it also reads a byte order mark. None means that the encoding is not supported.
_CODECS = {"gbk": "gb18030", "utf-16": "utf-16", "x-user-defined": None, "replacement": None}


def detect_codec(body: bytes, charset: str | None) -> str:
    """Return the name of the Python codec for a page.

    The encoding is the first one that is given by ``charset``, a byte order mark or ``<meta>``, otherwise UTF-8.
    ``charset`` is the parameter of the Content-Type header. Unknown labels are ignored. The encoding is never guessed
    from the text, because that would be slow and unreliable.
    """
    if (codec := _codec_of(charset)) is not None:
        return codec
    for mark, codec in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return codec
    declaration = _META_CHARSET.search(body, 0, _META_WINDOW)
    codec = _codec_of(declaration[1].decode()) if declaration is not None else None
    # A declaration that is readable as ASCII cannot be in UTF-16 (WHATWG, 13.2.3.2).
    return codec if codec is not None and not codec.startswith("utf-16") else "utf-8"


@functools.lru_cache(256)
def _codec_of(label: str | None) -> str | None:
    """Return the name of the Python codec for an encoding label, or None for an unknown label.

    webencodings looks labels up in the table of the Encoding Standard. Python's own lookup also finds codecs that are
    not encodings of text (zlib, idna) or not used on the web (utf-7), and it caches every name that is looked up.
    """
    text = (label or "").strip(" \t\"'").lower()
    encoding = webencodings.lookup(text)
    if encoding is None:
        return None
    name: str = encoding.codec_info.name
    return _CODECS.get(text, _CODECS.get(name, name))
