"""The URL of an image: what a rule's match must be, or become, to be handed to callers."""

import re
from html import unescape
from urllib.parse import urldefrag, urljoin

from app.domain.url import InvalidUrl, normalize_url

MAX_LENGTH = 2048
#: Characters of a text that may still become a URL of MAX_LENGTH, though each be written as an entity.
MAX_TEXT = 16 * MAX_LENGTH

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_BEFORE_QUERY = re.compile(r"[^?#]*")


# A path with nothing to resolve or to encode, and a base with nothing to normalise: what most pages have, and urllib
# takes as long for it as the transport for the page.
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,100}", re.ASCII)
_PLAIN_SITE = re.compile(r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::[1-9][0-9]{0,4})?(?=/)", re.ASCII)


class UnusableMatch(Exception):
    """A match is no URL of an image. The text says why, in a few words."""


def decode_entities(text: str) -> str:
    """Decode the entities of HTML that end in a semicolon: the ``&copy`` of ``?a=1&copy=2`` is none.

    A text that is too long for any URL stays as it is: 2 MB of entities would take a second.
    """
    return text if len(text) > MAX_TEXT else _ENTITY.sub(lambda entity: unescape(entity[0]), text)


def absolute_url(match: str, *, base: str, template: str | None = None) -> str:
    """Return the URL that a match stands for, put into ``template`` for ``{match}`` if there is one.

    It is resolved against ``base``. What comes back is an absolute http or https URL in ASCII with a host, without a
    user, and of at most 2,048 characters. As in browsers (https://url.spec.whatwg.org/) a backslash is a slash; the
    rest is as ``app.config.url_templates`` has it. Raises Unusable when the match cannot become that, or is the page
    itself.
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
    if _CONTROL.search(text):
        raise UnusableMatch("it has control characters")
    try:
        url = normalize_url(urljoin(base, text if template is None else template.replace("{match}", text)))
    except InvalidUrl as bad:
        raise UnusableMatch(str(bad)) from None
    except ValueError:  # urljoin's, of brackets and surrogates
        raise UnusableMatch("it is no valid URL") from None
    if len(url) > MAX_LENGTH:
        raise UnusableMatch(f"it is longer than {MAX_LENGTH} characters")
    if template is None and urldefrag(url).url == urldefrag(base).url:
        raise UnusableMatch("it is the page itself")
    return url


def _plain_url(match: str, base: str) -> str | None:
    """Return what a match stands for where that takes no more than to put both together."""
    if len(match) > MAX_LENGTH // 2 or _PLAIN_PATH.fullmatch(match) is None:
        return None
    site = _PLAIN_SITE.match(base)
    if site is None or len(site[0]) > MAX_LENGTH // 2 or match in base:
        return None
    return site[0] + match
