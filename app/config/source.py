"""A source as data: where the pages of its items are, which rules find the cover there, how it wants to be treated.

The types check what they are given when the configuration is read: each one's ``parse`` returns the value or raises
ValueError with what it expected. So a source that exists is a source that works as far as its text can tell. Rules,
signs, selectors and URLs are at home in modules of that name.
"""

import re
import zlib
from functools import cached_property
from typing import Annotated, Self

import msgspec

from app.config.challenge_pages import CHALLENGE_PAGES
from app.config.response_patterns import ResponsePatterns
from app.config.rules import HTML_RULE_KINDS, Regex, Rule
from app.config.url_templates import HostPattern, ImageUrlTemplate, PageUrlTemplate
from app.domain.records import Outcome

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_CENTURY = 36_525 * 86_400
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110, 5.6.2: token
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", re.ASCII)

#: Headers that the fetcher sets itself, since its limits depend on them.
_OWN_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "user-agent", "range", "expect"}
    | {"te", "upgrade", "if-none-match", "if-modified-since", "if-range", "if-match", "if-unmodified-since"}
)
_MAX_HEADER = 4096


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


class Delay(Duration):
    """A duration that callers wait for: at most ten minutes, which is the longest deadline."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a duration that somebody can wait for."""
        seconds = super().parse(value)
        if seconds > 600:  # noqa: PLR2004 - ten minutes, as the class says
            raise ValueError("expected at most 600 seconds")
        return seconds


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
            if len(text) > _MAX_HEADER:
                raise ValueError(
                    f"expected header values of at most {_MAX_HEADER} characters, which that of {name} is not"
                )
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"{name} is set by the service itself (user_agent is a key of its own)")
        if len({name.lower() for name in value}) < len(value):
            raise ValueError("expected each header once, whatever the case of its letters")
        return cls(value)


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One source: its name, and the keys of its table in the configuration (docs/configuration.md describes each).

    What follows from the keys is found out once: the dict is for that alone.
    """

    page_url: PageUrlTemplate
    extract: Annotated[list[Rule], msgspec.Meta(min_length=1)]
    id_pattern: Regex = Regex("[A-Za-z0-9._-]{1,64}")
    image_url: ImageUrlTemplate | None = None
    ttl: Duration = Duration(30 * 86400)
    grace: Duration = Duration(7 * 86400)
    keep: Duration = Duration(365 * 86400)
    negative_ttl: Duration = Duration(3600)
    error_ttl: Duration = Duration(10)
    timeout: Timeout = Timeout(5)
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 1
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    delay: Delay = Delay(0)
    max_page: Annotated[int, msgspec.Meta(ge=1, le=2**30)] = 2_097_152
    headers: Headers = msgspec.field(default_factory=Headers)
    allowed_hosts: list[HostPattern] = []
    private_network: bool = False
    robots: bool = False
    canary: list[str | int] = []
    throttled: ResponsePatterns = ResponsePatterns()
    blocked: ResponsePatterns = CHALLENGE_PAGES
    not_found: ResponsePatterns = ResponsePatterns()
    failed: ResponsePatterns = ResponsePatterns()
    name: str = ""

    @cached_property
    def response_patterns(self) -> tuple[tuple[Outcome, ResponsePatterns], ...]:
        """What signs mean, in the order in which they are looked for."""
        return (
            (Outcome.THROTTLED, self.throttled),
            (Outcome.BLOCKED, self.blocked),
            (Outcome.NO_SUCH_ITEM, self.not_found),
            (Outcome.ORIGIN_FAILED, self.failed),
        )

    def outcome_for_status(self, status: int) -> Outcome | None:
        """Return what the source's signs say of an HTTP status, None where they say nothing."""
        return self._status_outcomes.get(status)

    @cached_property
    def _status_outcomes(self) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        for outcome, signs in self.response_patterns:
            for sign in signs:
                if sign.status is not None:
                    outcomes.setdefault(sign.status, outcome)
        return outcomes

    @property
    def is_disabled(self) -> bool:
        """Whether it may not be used yet: its ids name the hosts, and nobody has said which ones may be called."""
        return self.id_selects_host and not self.allowed_hosts

    @cached_property
    def id_selects_host(self) -> bool:
        """Whether the id is part of the page's host, or all of its URL: then the id's author chooses whom we call."""
        return self.page_url.id_selects_host

    @cached_property
    def needs_html_parser(self) -> bool:
        """Whether pages are parsed as HTML, which takes its time: for a rule or for a sign."""
        return any(rule.kind in HTML_RULE_KINDS for rule in self.extract) or any(
            sign.css is not None for _, signs in self.response_patterns for sign in signs
        )

    @cached_property
    def fingerprint(self) -> int:
        """A number of 16 bits that stands for how covers are found: the page, the rules, the image's template."""
        return zlib.crc32("\n".join([self.page_url, *map(str, self.extract), self.image_url or ""]).encode()) & 0xFFFF

    def page_url_for(self, item_id: str) -> str:
        """Return the URL of an item's page: the id percent-encoded, its slashes kept; or the id, where that is a URL.

        Raises:
            BadUrl: the id is to be the whole URL, and is none.

        """
        return self.page_url.expand(item_id)
