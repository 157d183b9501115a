"""The character encoding of a page: from the Content-Type header, a byte order mark or ``<meta charset>``."""

import codecs
import encodings
import encodings.aliases
import functools
import re

_META_WINDOW = 1024  # bytes in which a page must declare its encoding (WHATWG, 13.2.3.2)
_META_CHARSET = re.compile(rb"""<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([A-Za-z0-9._:-]+)""", re.IGNORECASE)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)
#: Encodings for which the Encoding Standard (https://encoding.spec.whatwg.org/) prescribes a superset.
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
#: The encodings of the web by Python's names. Other codecs are not looked up: some are not encodings of text (zlib,
#: idna) or not used on the web (utf-7), and Python caches each name that is looked up.
_CODECS = frozenset(
    {"utf_8", "utf_16", "utf_16_le", "utf_16_be", "gb18030", "big5hkscs", "cp932", "euc_jp", "iso2022_jp", "cp949"}
    | {"koi8_r", "koi8_u", "cp866", "cp874", "mac_cyrillic", "mac_roman"}
    | {f"cp125{page}" for page in range(9)}
    | {f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)}
)


def detect_codec(body: bytes, charset: str | None) -> str:
    """Return the name of the Python codec for a page: by the header, the byte order mark or ``<meta>``, else UTF-8.

    ``charset`` is the parameter of the Content-Type header. Unknown labels are ignored. The encoding is never guessed
    from the text, which would be slow and unreliable.
    """
    if (codec := _codec_of(charset)) is not None:
        return codec
    for mark, codec in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return codec
    declaration = _META_CHARSET.search(body, 0, _META_WINDOW)
    codec = _codec_of(declaration[1].decode()) if declaration is not None else None
    # A declaration that is readable as ASCII cannot be in UTF-16 (WHATWG, 13.2.3.2).
    return codec if codec is not None and not codec.startswith("utf_16") else "utf_8"


@functools.lru_cache(256)
def _codec_of(label: str | None) -> str | None:
    """Return the name of the Python codec for an encoding label, or None for an unknown label."""
    if label is None or not label.isascii():
        return None
    name = encodings.normalize_encoding(label.strip(" \t\"'")).lower()
    codec = encodings.aliases.aliases.get(name, name)
    codec = _SUPERSETS.get(codec, codec)
    return codec if codec in _CODECS else None
