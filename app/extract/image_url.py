"""The URL of an image: resolves and validates the match of a rule."""

import re
from collections.abc import Sequence
from html import unescape
from urllib.parse import urldefrag, urljoin

from app.config.rules import compile_regex
from app.domain.url import InvalidUrl, normalize_url

MAX_LENGTH = 2048  # characters of a URL
MAX_TEXT = 16 * MAX_LENGTH  # characters of a match in which each character of a URL is a character reference

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_REPLACEMENT_CHARACTER = "\ufffd"  # decoders write it in place of bytes and escape sequences that are not valid
_CHARACTER_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_HTTP_ORIGIN = re.compile(r"\Ahttp://([^/?#]*?)(?::80)?(?=[/?#]|\Z)")
_BEFORE_QUERY = re.compile(r"[^?#]*")
# The fast path is for a path that needs no resolution and no encoding, and a base that needs no normalisation, as on
# most pages. For these, urllib would take as long as the transport takes for the page.
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,100}", re.ASCII)
_PLAIN_ORIGIN = re.compile(r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::[1-9][0-9]{0,4})?(?=/)", re.ASCII)


class UnusableMatch(Exception):
    """A match cannot be the URL of an image. The text is a short reason."""


def decode_entities(text: str) -> str:
    """Decode HTML character references that end with a semicolon; ``&copy`` in ``?a=1&copy=2`` is left unchanged.

    A text that is too long for a URL is returned unchanged, because decoding 2 MB of references would take a second.
    """
    return text if len(text) > MAX_TEXT else _CHARACTER_REFERENCE.sub(lambda reference: unescape(reference[0]), text)


def absolute_url(
    match: str, *, base: str, template: str | None = None, https: bool = False, reject: Sequence[str] = ()
) -> str:
    """Return the absolute URL for a match.

    The match is inserted into ``template``, if there is one, and then resolved against ``base``. The result is
    normalised by ``normalize_url`` and has at most 2,048 characters. As in browsers (https://url.spec.whatwg.org/),
    backslashes before the query are read as slashes. With ``https``, the scheme http is replaced by https.

    Raises:
        UnusableMatch: the URL is not valid, it is ``base`` itself, or one of the regular expressions in ``reject``
            matches it.

    """
    url = (_plain_url(match, base) if template is None else None) or _resolve(match, base, template)
    if https:
        url = _HTTP_ORIGIN.sub(r"https://\1", url)
    if len(url) > MAX_LENGTH:
        raise UnusableMatch(f"it is longer than {MAX_LENGTH} characters")
    for pattern in reject:
        if compile_regex(pattern).search(url.encode()) is not None:
            raise UnusableMatch(f"it matches reject {pattern}")
    return url


def _resolve(match: str, base: str, template: str | None) -> str:
    if len(match) > MAX_TEXT:
        raise UnusableMatch(f"it is longer than {MAX_LENGTH} characters")
    text = _BEFORE_QUERY.sub(lambda path: path[0].replace("\\", "/"), match.strip(), count=1)
    if not text:
        raise UnusableMatch("it is empty")
    if len(text) > MAX_LENGTH:
        raise UnusableMatch(f"it is longer than {MAX_LENGTH} characters")
    if _CONTROL_CHARACTER.search(text):
        raise UnusableMatch("it has control characters")
    try:
        joined = urljoin(base, text if template is None else template.replace("{match}", text))
        if _REPLACEMENT_CHARACTER in joined:
            raise UnusableMatch("it has characters that could not be decoded")
        url = normalize_url(joined)
    except InvalidUrl as error:
        raise UnusableMatch(str(error)) from None
    except ValueError:  # raised by urljoin for brackets and surrogates
        raise UnusableMatch("it is not a valid URL") from None
    if template is None and urldefrag(url).url == urldefrag(base).url:
        raise UnusableMatch("it is the page itself")
    return url


def _plain_url(match: str, base: str) -> str | None:
    """Return the URL for a match if that URL is the origin of ``base`` followed by the match, else None."""
    if len(match) > MAX_LENGTH // 2 or _PLAIN_PATH.fullmatch(match) is None:
        return None
    origin = _PLAIN_ORIGIN.match(base)
    if origin is None or len(origin[0]) > MAX_LENGTH // 2 or match in base:
        return None
    return origin[0] + match
