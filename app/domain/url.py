"""Normalisation of absolute URLs: http or https, in ASCII, without credentials."""

import re
from urllib.parse import quote, urlsplit

_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?", re.ASCII)
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_RESERVED = "%:/?#[]@!$&'()*+,;="  # RFC 3986, 2.2, and "%": what is encoded already stays so


class InvalidUrl(Exception):
    """A text is no absolute http or https URL. ``str(error)`` says why, in a few words."""


def normalize_url(url: str) -> str:
    """Return an absolute http or https URL in ASCII, checked part by part.

    Blanks and what no URL may hold (RFC 3986) are percent-encoded, as UTF-8, what is encoded already stays so; a host
    is written as DNS knows it (RFC 3490).

    Raises:
        BadUrl: another scheme, no host or one that cannot be, a user name, a port that is none.

    """
    try:
        return _ascii_url(url)
    except ValueError:  # urllib's, of brackets, ports, surrogates; UnicodeError is one too
        raise InvalidUrl("it is no valid URL") from None


def _ascii_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise InvalidUrl(f"its scheme is {parts.scheme[:20] or 'missing'}, not http or https")
    if "@" in parts.netloc:
        raise InvalidUrl("it names a user")
    if not parts.hostname:
        raise InvalidUrl("it has no host")
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode().lower()
    if ":" in host:
        host = f"[{host}]"  # IPv6, which urlsplit has checked
    elif not _HOST.fullmatch(host):
        raise InvalidUrl("its host is no valid name")
    port = f":{parts.port}" if parts.port is not None else ""
    return quote(_LONE_PERCENT.sub("%25", parts._replace(netloc=host + port).geturl()), safe=_RESERVED)
