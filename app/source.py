"""A source as data: where the pages of its items are, which rules find the cover there, how it wants to be treated.

The types check what they are given when the configuration is read: each one's ``parse`` returns the value or raises
ValueError with what it expected. So a source that exists is a source that works as far as its text can tell.
"""

import re
import zlib
from typing import Annotated, Any, Self
from urllib.parse import SplitResult, quote, urlsplit

import jmespath
import msgspec
import re2
from selectolax.lexbor import LexborHTMLParser

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_CENTURY = 36_525 * 86_400
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110, 5.6.2: token
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", re.ASCII)
_HOST_PATTERN = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.ASCII)

#: Headers that the fetcher sets itself, since its limits depend on them.
_OWN_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "user-agent"})


class Duration(float):
    """Seconds, written as a number or as ``"10s"``, ``"5m"``, ``"2h"``, ``"30d"``; a century at most."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a duration of zero seconds or more."""
        seconds = -1.0
        if isinstance(value, str) and (match := _DURATION.fullmatch(value)) is not None:
            seconds = float(match[1]) * _UNIT_SECONDS[match[2]]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value
        if 0 <= seconds <= _CENTURY:
            return cls(seconds)
        raise ValueError('expected seconds, from 0 to a century, or a text such as "10s", "5m", "2h", "30d"')


class Timeout(Duration):
    """A duration within which something must have happened: more than zero, at most ten minutes."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a duration that leaves time for anything to happen."""
        seconds = super().parse(value)
        if not 0 < seconds <= 600:  # noqa: PLR2004 - ten minutes, as the class says
            raise ValueError("expected more than 0 and at most 600 seconds")
        return seconds


class Pattern(str):
    """A regular expression that google-re2 takes: linear in time, so without look-around and back-references."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a pattern."""
        if not isinstance(value, str) or not value:
            raise ValueError("expected a regular expression")
        try:
            compile_pattern(value)
        except re2.error as error:
            text = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
            raise ValueError(
                f"expected a regular expression of RE2 (it has no look-around and no back-references): {text}"
            ) from None
        return cls(value)


def compile_pattern(pattern: str) -> Any:
    """Compile for use on UTF-8 bytes: re2 works on these, and a str would be encoded anew for each search."""
    options = re2.Options()
    options.log_errors = False  # it would write to standard error by itself
    return re2.compile(pattern.encode(), options)


class Selector(str):
    """A CSS selector."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a selector."""
        if not isinstance(value, str) or not value.strip():
            raise ValueError("expected a CSS selector")
        try:
            LexborHTMLParser("<p>").css_first(value)
        except Exception as error:
            raise ValueError("expected a CSS selector") from error
        return cls(value)


class JsonPath(str):
    """A JMESPath expression."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read an expression."""
        if not isinstance(value, str):
            raise ValueError("expected a JMESPath expression")
        try:
            # Searched once as well: that is when an unknown function, or one with too few arguments, comes out.
            jmespath.compile(value).search(None)
        except jmespath.exceptions.JMESPathTypeError:
            return cls(value)  # a function that wants something else than null: pages have that
        except (jmespath.exceptions.JMESPathError, RecursionError) as error:
            raise ValueError(f"expected a JMESPath expression: {str(error).splitlines()[0]}") from None
        return cls(value)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to find the cover on a page: exactly one kind, and for ``css`` the attribute that holds the URL."""

    regex: Pattern | None = None
    css: Selector | None = None
    attribute: str | None = None
    meta: str | None = None
    jsonld: str | None = None
    json: JsonPath | None = None

    def __post_init__(self) -> None:
        kinds = [kind for kind in RULE_KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"expected exactly one of {', '.join(RULE_KINDS)}")
        if not getattr(self, kinds[0]):
            raise ValueError(f"expected a text behind {kinds[0]}")
        if self.attribute is not None and self.css is None:
            raise ValueError("attribute goes with css alone")

    @property
    def kind(self) -> str:
        """The one of ``RULE_KINDS`` that this rule is."""
        return next(kind for kind in RULE_KINDS if getattr(self, kind) is not None)

    def __str__(self) -> str:
        attribute = f" @{self.attribute}" if self.attribute else ""
        return f"{self.kind} {getattr(self, self.kind)}{attribute}"


RULE_KINDS = ("regex", "css", "meta", "jsonld", "json")

#: The kinds that need the page parsed as HTML.
HTML_KINDS = frozenset({"css", "meta", "jsonld"})


def _web_address(text: str, expected: str) -> SplitResult:
    """Return the parts of an absolute http or https URL. Raises ValueError(expected) for anything else."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(expected)
    try:
        parts = urlsplit(text)
        is_right = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # urlsplit's own words, of a port or a bracket, do not name what was expected
        is_right = False
    if not is_right:
        raise ValueError(expected)
    if parts.username is not None:
        raise ValueError("expected a URL without a user name: use headers")
    return parts


class PageUrl(str):
    """The URL of an item's page: http or https, with ``{id}`` where the id goes."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a template."""
        expected = "expected an http or https URL with {id}"
        if not isinstance(value, str) or "{id}" not in value:
            raise ValueError(expected)
        _web_address(value, expected)
        return cls(value)

    @property
    def names_host(self) -> bool:
        """Whether the id is part of the host: then the id's author chooses whom we call."""
        return "{id}" in urlsplit(self).netloc


class ImageUrl(str):
    """The URL of an image: http or https, with ``{match}`` where the match goes."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a template."""
        expected = "expected an http or https URL with {match} behind its host"
        if not isinstance(value, str) or "{match}" not in value:
            raise ValueError(expected)
        parts = _web_address(value, expected)
        if "{match}" in parts.netloc:
            raise ValueError(expected)  # the page would choose the host
        return cls(value)


class Headers(dict[str, str]):
    """Further request headers."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a table of names and values."""
        if not isinstance(value, dict):
            raise ValueError("expected a table of header names and values")
        for name, text in value.items():
            if not _HEADER_NAME.fullmatch(name) or not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
                raise ValueError(
                    f"expected header names and printable ASCII values, which {name!r} or its value is not"
                )
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"{name} is set by the service itself (user_agent is a key of its own)")
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


def parse_hook(expected: type[Any], value: object) -> object:
    """Tell msgspec how to read the types of this module."""
    return expected.parse(value)


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source, by the keys of its table in the configuration (docs/configuration.md describes each)."""

    page_url: PageUrl
    extract: Annotated[list[Rule], msgspec.Meta(min_length=1)]
    id_pattern: Pattern = Pattern("[A-Za-z0-9._-]{1,64}")
    image_url: ImageUrl | None = None
    ttl: Duration = Duration(30 * 86400)
    grace: Duration = Duration(7 * 86400)
    keep: Duration = Duration(365 * 86400)
    negative_ttl: Duration = Duration(3600)
    error_ttl: Duration = Duration(10)
    timeout: Timeout = Timeout(5)
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 1
    concurrency: Annotated[int, msgspec.Meta(ge=1)] = 8
    delay: Duration = Duration(0)
    max_page: Annotated[int, msgspec.Meta(ge=1)] = 2_097_152
    headers: Headers = msgspec.field(default_factory=Headers)
    allowed_hosts: list[HostPattern] = []
    private_network: bool = False
    robots: bool = False
    canary: list[str | int] = []

    @property
    def fingerprint(self) -> int:
        """A number of 16 bits that stands for how covers are found: the page, the rules, the image's template."""
        return zlib.crc32("\n".join([self.page_url, *map(str, self.extract), self.image_url or ""]).encode()) & 0xFFFF

    def page_url_of(self, item_id: str) -> str:
        """Return the URL of an item's page: the id percent-encoded, its slashes kept."""
        return self.page_url.replace("{id}", quote(item_id, safe="/"))
