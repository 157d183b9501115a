"""A source as data: the URL of an item's page, the rules that find the cover on it, and limits for its origin.

Each value type has a class method ``parse`` that returns the value, or raises ValueError with a text that begins with
"expected". Therefore every ``Source`` that the loader creates is valid. Rules, response patterns and URL templates are
defined in modules of their own.
"""

import re
import zlib
from functools import cached_property
from typing import Annotated, Self

import msgspec

from app.config.challenge_pages import CHALLENGE_PAGES
from app.config.response_patterns import OutcomePatterns, ResponsePatterns
from app.config.rules import HTML_RULE_KINDS, Regex, Rule
from app.config.url_templates import HostPattern, ImageUrlTemplate, PageUrlTemplate
from app.domain.records import Outcome

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_CENTURY = 36_525 * 86_400
_TEN_MINUTES = 600
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110, 5.6.2: token
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", re.ASCII)

#: Request headers that the fetcher sets itself because its limits depend on them.
_OWN_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "user-agent", "range", "expect"}
    | {"te", "upgrade", "if-none-match", "if-modified-since", "if-range", "if-match", "if-unmodified-since"}
)
_MAX_HEADER_VALUE = 4096  # characters


class Duration(float):
    """Seconds, written as a number or as ``"10s"``, ``"5m"``, ``"2h"``, ``"30d"``; at most a century."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a duration of zero seconds or more."""
        seconds = -1.0
        if isinstance(value, str) and (match := _DURATION.fullmatch(value)) is not None:
            seconds = float(match[1]) * _UNIT_SECONDS[match[2]]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value
        if 0 <= seconds <= _CENTURY:
            return cls(seconds)
        raise ValueError('expected seconds, from 0 to a century, or a text such as "10s", "5m", "2h", "30d"')


class Timeout(Duration):
    """A duration of more than zero seconds and at most ten minutes."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a timeout."""
        seconds = super().parse(value)
        if not 0 < seconds <= _TEN_MINUTES:
            raise ValueError("expected more than 0 and at most 600 seconds")
        return seconds


class Delay(Duration):
    """A duration of at most ten minutes. Callers wait for it, and no deadline is longer."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a delay."""
        seconds = super().parse(value)
        if seconds > _TEN_MINUTES:
            raise ValueError("expected at most 600 seconds")
        return seconds


class Headers(dict[str, str]):
    """Additional request headers."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a table of header names and values."""
        if not isinstance(value, dict):
            raise ValueError("expected a table of header names and values")
        for name, text in value.items():
            if not _HEADER_NAME.fullmatch(name) or not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
                raise ValueError(
                    f"expected header names and printable ASCII values, but {name!r} or its value is invalid"
                )
            if len(text) > _MAX_HEADER_VALUE:
                raise ValueError(
                    f"expected header values of at most {_MAX_HEADER_VALUE} characters, but that of {name} is longer"
                )
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"{name} is set by the service itself (for User-Agent, set the key user_agent)")
        if len({name.lower() for name in value}) < len(value):
            raise ValueError("expected each header once (names are case-insensitive)")
        return cls(value)


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One source: its name, and the keys of its table in the configuration (see docs/configuration.md).

    ``dict=True`` is for the cached properties.
    """

    page_url: PageUrlTemplate
    extract: Annotated[list[Rule], msgspec.Meta(min_length=1)]
    id_pattern: Regex = Regex("[A-Za-z0-9._-]{1,64}")
    image_url: ImageUrlTemplate | None = None
    https: bool = False
    reject: list[Regex] = []
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
    def response_patterns(self) -> OutcomePatterns:
        """The response patterns of all outcomes, in the order in which they are tried."""
        return (
            (Outcome.THROTTLED, self.throttled),
            (Outcome.BLOCKED, self.blocked),
            (Outcome.NO_SUCH_ITEM, self.not_found),
            (Outcome.ORIGIN_FAILED, self.failed),
        )

    def outcome_for_status(self, status: int) -> Outcome | None:
        """Return the outcome that the source's response patterns assign to an HTTP status, or None."""
        return self._status_outcomes.get(status)

    @cached_property
    def _status_outcomes(self) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        for outcome, patterns in self.response_patterns:
            for pattern in patterns:
                if pattern.status is not None:
                    outcomes.setdefault(pattern.status, outcome)
        return outcomes

    @property
    def is_disabled(self) -> bool:
        """Whether the source cannot be used, because its ids select the host and ``allowed_hosts`` is empty."""
        return self.id_selects_host and not self.allowed_hosts

    @cached_property
    def id_selects_host(self) -> bool:
        """Whether the id is part of the host or is the whole URL, so that the caller chooses the host."""
        return self.page_url.id_selects_host

    @cached_property
    def needs_html_parser(self) -> bool:
        """Whether a rule or a response pattern reads the page as HTML. Parsing HTML is slow."""
        return any(rule.kind in HTML_RULE_KINDS for rule in self.extract) or any(
            pattern.css is not None for _, patterns in self.response_patterns for pattern in patterns
        )

    @cached_property
    def fingerprint(self) -> int:
        """A 16-bit checksum of the keys that determine which cover is found."""
        keys = [self.page_url, *map(str, self.extract), self.image_url or ""]
        # Without these two keys, the checksum is that of earlier versions, so that known covers remain current.
        keys += ["https"] * self.https + [f"reject {pattern}" for pattern in self.reject]
        return zlib.crc32("\n".join(keys).encode()) & 0xFFFF

    def page_url_for(self, item_id: str) -> str:
        """Return the URL of an item's page.

        Raises:
            InvalidUrl: the ids of the source are whole URLs, and this id is not a valid URL.

        """
        return self.page_url.expand(item_id)
