"""The URL of an image: what a rule's match must be, or become, to be handed to callers."""

import re
from html import unescape
from urllib.parse import quote, urldefrag, urljoin, urlsplit

MAX_LENGTH = 2048

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?", re.ASCII)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BEFORE_QUERY = re.compile(r"[^?#]*")
_RESERVED = "%:/?#[]@!$&'()*+,;="  # RFC 3986, 2.2, and "%": what is encoded already stays so


class Unusable(Exception):
    """A match is no URL of an image. The text says why, in a few words."""


def decode_entities(text: str) -> str:
    """Decode the entities of HTML that end in a semicolon: the ``&copy`` of ``?a=1&copy=2`` is none."""
    return _ENTITY.sub(lambda entity: unescape(entity[0]), text)


def absolute_url(match: str, *, base: str, template: str | None = None) -> str:
    """Return the URL that a match stands for: put into ``template`` for ``{match}``, else resolved against ``base``.

    What comes back is an absolute http or https URL in ASCII with a host, without a user, and of at most 2,048
    characters. As in browsers (https://url.spec.whatwg.org/) a backslash is a slash, and blanks and what no URL may
    hold (RFC 3986) are percent-encoded, as UTF-8; a host is written as DNS knows it (RFC 3490). Raises Unusable when
    the match cannot become that, or is the page itself.
    """
    text = _BEFORE_QUERY.sub(lambda path: path[0].replace("\\", "/"), match.strip(), count=1)
    if not text:
        raise Unusable("it is empty")
    if len(text) > MAX_LENGTH:
        raise Unusable(f"it is longer than {MAX_LENGTH} characters")
    if _CONTROL.search(text):
        raise Unusable("it has control characters")
    try:
        url = urljoin(base, text) if template is None else template.replace("{match}", text)
        url = _normalize(url)
    except ValueError:  # urllib's, of brackets, ports, surrogates; UnicodeError is one too
        raise Unusable("it is no valid URL") from None
    if len(url) > MAX_LENGTH:
        raise Unusable(f"it is longer than {MAX_LENGTH} characters")
    if template is None and urldefrag(url).url == urldefrag(base).url:
        raise Unusable("it is the page itself")
    return url


def _normalize(url: str) -> str:
    """Check an absolute URL, part by part, and write it in ASCII. Raises Unusable or ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise Unusable(f"its scheme is {parts.scheme[:20] or 'missing'}, not http or https")
    if "@" in parts.netloc:
        raise Unusable("it names a user")
    if not parts.hostname:
        raise Unusable("it has no host")
    host = parts.hostname.encode("idna").decode().lower() if not parts.hostname.isascii() else parts.hostname
    if ":" in host:
        host = f"[{host}]"  # IPv6, which urlsplit has checked
    elif not _HOST.fullmatch(host):
        raise Unusable("its host is no valid name")
    port = f":{parts.port}" if parts.port is not None else ""
    return quote(_LONE_PERCENT.sub("%25", parts._replace(netloc=host + port).geturl()), safe=_RESERVED)
