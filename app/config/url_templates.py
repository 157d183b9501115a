"""URLs as the configuration has them and as callers get them: absolute, http or https, in ASCII.

Nothing is resolved or asked for here. Whether a host may be called is the fetcher's matter.
"""

import re
from typing import Self
from urllib.parse import SplitResult, quote, urlsplit

from app.domain.url import normalize_url

_HOST_PATTERN = re.compile(r"(?:\*\.)?(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)

#: The template of a source whose ids are whole URLs.
_ID_ALONE = "{id}"


class PageUrlTemplate(str):
    """The URL of an item's page: http or https, with ``{id}`` where the id goes; or ``{id}`` alone."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a template."""
        expected = "expected an http or https URL with {id}, or {id} alone"
        if not isinstance(value, str) or "{id}" not in value or _has_braces(value.replace("{id}", "")):
            raise ValueError(expected)
        if value != _ID_ALONE and _parts_of(value, expected).fragment:
            raise ValueError("expected a URL without a fragment: what stands behind # is not sent")
        return cls(value)

    @property
    def id_selects_host(self) -> bool:
        """Whether the id is part of the host, or all of the URL: then the id's author chooses whom we call."""
        return self == _ID_ALONE or "{id}" in urlsplit(self).netloc

    def expand(self, item_id: str) -> str:
        """Return the URL of an item's page: the id percent-encoded, its slashes kept.

        Raises:
            BadUrl: the id is to be the whole URL, and is none.

        """
        if self == _ID_ALONE:
            return normalize_url(item_id)
        return self.replace("{id}", quote(item_id, safe="/"))


class ImageUrlTemplate(str):
    """What an image's URL is made of: an http or https URL with ``{match}`` where the match goes, or a beginning so."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a template."""
        expected = "expected {match} first, or an http or https URL with {match} behind its host"
        if not isinstance(value, str) or "{match}" not in value or not _is_plain(value):
            raise ValueError(expected)
        if _has_braces(value.replace("{match}", "")):
            raise ValueError(expected)
        # A match that comes first is a whole URL up to there, and is checked as one that stands alone is.
        if not value.startswith("{match}") and "{match}" in _parts_of(value, expected).netloc:
            raise ValueError(expected)  # the page would choose the host
        return cls(value)


class HostPattern(str):
    """A host that a redirect may lead to: a name, or ``*.`` and a name for all below it."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a host's name or pattern."""
        if not isinstance(value, str) or not _HOST_PATTERN.fullmatch(value.lower()):
            raise ValueError("expected a host such as example.org or *.example.org")
        return cls(value.lower())


def _parts_of(text: str, expected: str) -> SplitResult:
    """Return the parts of an absolute http or https URL. Raises ValueError(expected) for anything else."""
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").replace("{id}", "x")
        is_right = parts.scheme in {"http", "https"} and parts.port != 0 and _is_host(host)
    except ValueError:  # urlsplit's own words, of a port or a bracket, do not name what was expected
        is_right = False
    if not is_right or not _is_plain(text):
        raise ValueError(expected)
    if parts.username is not None:
        raise ValueError("expected a URL without a user name: use headers")
    return parts


def _has_braces(text: str) -> bool:
    """Whether there is what looks like one more place to fill in."""
    return "{" in text or "}" in text


def _is_host(host: str) -> bool:
    """Whether this can be a host: IPv6, which urlsplit has checked, or labels of at most 63 characters."""
    return ":" in host or (not host.startswith("*") and _HOST_PATTERN.fullmatch(host.removesuffix(".")) is not None)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
