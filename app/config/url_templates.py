"""Templates of page and image URLs, and patterns of host names, as the configuration has them.

URLs are absolute, http or https, in ASCII. Nothing is resolved or requested here; the fetcher checks addresses.
"""

import re
from typing import Self
from urllib.parse import SplitResult, quote, urlsplit

from app.domain.url import normalize_url

_HOST_PATTERN = re.compile(r"(?:\*\.)?(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)

#: The page URL template of a source whose ids are whole URLs.
_WHOLE_URL = "{id}"


class PageUrlTemplate(str):
    """The URL of an item's page, with ``{id}`` for the id; or ``{id}`` alone if the id is the whole URL."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a template."""
        expected = "expected an http or https URL with {id}, or {id} alone"
        if not isinstance(value, str) or "{id}" not in value or _has_braces(value.replace("{id}", "")):
            raise ValueError(expected)
        if value != _WHOLE_URL and _split(value, expected).fragment:
            raise ValueError("expected a URL without a fragment: the part after # is not sent")
        return cls(value)

    @property
    def id_selects_host(self) -> bool:
        """Whether the id is part of the host or is the whole URL, so that the caller chooses the host."""
        return self == _WHOLE_URL or "{id}" in urlsplit(self).netloc

    def expand(self, item_id: str) -> str:
        """Return the URL of an item's page. The id is percent-encoded, except for its slashes.

        Raises:
            InvalidUrl: the template is ``{id}`` alone, and the id is not a valid URL.

        """
        if self == _WHOLE_URL:
            return normalize_url(item_id)
        return self.replace("{id}", quote(item_id, safe="/"))


class ImageUrlTemplate(str):
    """The URL of an image, with ``{match}`` for the match of a rule.

    It is an http or https URL with ``{match}`` after the host, or it begins with ``{match}``.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a template."""
        expected = "expected {match} first, or an http or https URL with {match} after its host"
        if not isinstance(value, str) or "{match}" not in value or not _is_url_text(value):
            raise ValueError(expected)
        if _has_braces(value.replace("{match}", "")):
            raise ValueError(expected)
        # If the match comes first, the result is resolved and checked like a match without a template.
        if not value.startswith("{match}") and "{match}" in _split(value, expected).netloc:
            raise ValueError(expected)  # the page would choose the host
        return cls(value)


class HostPattern(str):
    """A host that redirects may lead to: a name, or ``*.`` and a name for all of its subdomains."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a host name or pattern."""
        if not isinstance(value, str) or not _HOST_PATTERN.fullmatch(value.lower()):
            raise ValueError("expected a host such as example.org or *.example.org")
        return cls(value.lower())


def _split(text: str, expected: str) -> SplitResult:
    """Split an absolute http or https URL into its parts. Raises ValueError(expected) for anything else."""
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").replace("{id}", "x")
        is_valid = parts.scheme in {"http", "https"} and parts.port != 0 and _is_host(host)
    except ValueError:  # raised by urlsplit for a port or a bracket
        is_valid = False
    if not is_valid or not _is_url_text(text):
        raise ValueError(expected)
    if parts.username is not None:
        raise ValueError("expected a URL without a user name: use headers")
    return parts


def _has_braces(text: str) -> bool:
    """Whether the text has anything that looks like another placeholder."""
    return "{" in text or "}" in text


def _is_host(host: str) -> bool:
    """Whether this is an IPv6 address, which urlsplit validates, or a host name of labels of at most 63 characters."""
    return ":" in host or (not host.startswith("*") and _HOST_PATTERN.fullmatch(host.removesuffix(".")) is not None)


def _is_url_text(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
