"""Normalisation of absolute URLs: http or https, in ASCII, without credentials."""

import re
from urllib.parse import quote, urlsplit

_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?", re.ASCII)
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_RESERVED = "%:/?#[]@!$&'()*+,;="  # RFC 3986, 2.2; and "%", so that existing percent-encoding is kept


class InvalidUrl(Exception):
    """The string is not an absolute http or https URL. ``str(error)`` is a short reason."""


def normalize_url(url: str) -> str:
    """Return an absolute http or https URL in ASCII.

    Characters that RFC 3986 does not allow are percent-encoded as UTF-8; existing percent-encoding is kept. An
    internationalised host name is converted by IDNA (RFC 3490).

    Raises:
        InvalidUrl: another scheme, a missing or invalid host, a user name or password, an invalid port.

    """
    try:
        return _ascii_url(url)
    except ValueError:  # urllib raises it for brackets, ports and surrogates; UnicodeError is a subclass
        raise InvalidUrl("it is not a valid URL") from None


def _ascii_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise InvalidUrl(f"its scheme is {parts.scheme[:20] or 'missing'}, not http or https")
    if "@" in parts.netloc:
        raise InvalidUrl("it contains a user name")
    if not parts.hostname:
        raise InvalidUrl("it has no host")
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode().lower()
    if ":" in host:
        host = f"[{host}]"  # IPv6, validated by urlsplit
    elif not _HOST.fullmatch(host):
        raise InvalidUrl("its host name is not valid")
    port = f":{parts.port}" if parts.port is not None else ""
    return quote(_LONE_PERCENT.sub("%25", parts._replace(netloc=host + port).geturl()), safe=_RESERVED)
