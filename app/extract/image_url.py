"""The URL of an image: resolves and validates the match of a rule."""

import re
from html import unescape
from urllib.parse import urldefrag, urljoin

from app.domain.url import InvalidUrl, normalize_url

MAX_LENGTH = 2048  # characters of a URL
MAX_TEXT = 16 * MAX_LENGTH  # characters of a match before decoding: each one of a URL may be a character reference

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CHARACTER_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_BEFORE_QUERY = re.compile(r"[^?#]*")
# The fast path is for a path without anything to resolve or to encode, and a base without anything to normalise. Most
# pages have these, and urllib would take as long for them as the transport takes for the page.
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,100}", re.ASCII)
_PLAIN_ORIGIN = re.compile(r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::[1-9][0-9]{0,4})?(?=/)", re.ASCII)


class UnusableMatch(Exception):
    """A match cannot be the URL of an image. The text is a short reason."""


def decode_entities(text: str) -> str:
    """Decode HTML character references that end with a semicolon; ``&copy`` in ``?a=1&copy=2`` is left unchanged.

    A text that is too long for a URL is returned unchanged, because 2 MB of references would take a second.
    """
    return text if len(text) > MAX_TEXT else _CHARACTER_REFERENCE.sub(lambda reference: unescape(reference[0]), text)


def absolute_url(match: str, *, base: str, template: str | None = None) -> str:
    """Return the absolute URL for a match: inserted into ``template`` if there is one, then resolved against ``base``.

    The result is normalised by ``normalize_url`` and has at most 2,048 characters. As in browsers
    (https://url.spec.whatwg.org/), backslashes before the query are read as slashes.

    Raises:
        UnusableMatch: the match does not become a valid URL, or is the URL of the page itself.

    """
    if template is None and (url := _plain_url(match, base)) is not None:
        return url
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
        url = normalize_url(urljoin(base, text if template is None else template.replace("{match}", text)))
    except InvalidUrl as error:
        raise UnusableMatch(str(error)) from None
    except ValueError:  # raised by urljoin for brackets and surrogates
        raise UnusableMatch("it is not a valid URL") from None
    if len(url) > MAX_LENGTH:
        raise UnusableMatch(f"it is longer than {MAX_LENGTH} characters")
    if template is None and urldefrag(url).url == urldefrag(base).url:
        raise UnusableMatch("it is the page itself")
    return url


def _plain_url(match: str, base: str) -> str | None:
    """Return the URL for a match if it is the base's origin followed by the match, else None."""
    if len(match) > MAX_LENGTH // 2 or _PLAIN_PATH.fullmatch(match) is None:
        return None
    origin = _PLAIN_ORIGIN.match(base)
    if origin is None or len(origin[0]) > MAX_LENGTH // 2 or match in base:
        return None
    return origin[0] + match
