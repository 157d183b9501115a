"""Response patterns: how to recognise a response that is not the item's page, such as an error or a challenge page."""

import functools
from typing import Annotated, Self

import msgspec
import re2

from app.config.css_selector import CssSelector
from app.config.rules import JmesPath, Matcher, Regex, compile_regex, decode_hook
from app.domain.records import Outcome


class ResponsePattern(Matcher, frozen=True, cache_hash=True, forbid_unknown_fields=True):
    """One pattern that classifies a response. The key that is set is its kind.

    ``status`` matches an HTTP status other than 200. The others match a page: a regular expression, a CSS selector
    that selects an element, or a JMESPath expression whose result is true in JMESPath's sense (anything but false,
    null, "", [] and {}).
    """

    KINDS = ("status", "regex", "css", "json")

    status: Annotated[int, msgspec.Meta(ge=201, le=999)] | None = None
    regex: Regex | None = None
    css: CssSelector | None = None
    json: JmesPath | None = None


class ResponsePatterns(tuple[ResponsePattern, ...]):  # noqa: SLOT001 - combined_regex is cached in the __dict__
    """The patterns of one outcome. The configuration has one pattern or an array; a plain text is a ``regex``."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate one pattern or an array of patterns."""
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | dict) for item in items):
            raise ValueError(
                f"expected a regular expression, or a table with one of {', '.join(ResponsePattern.KINDS)}"
            )
        tables = [{"regex": item} if isinstance(item, str) else item for item in items]
        try:
            patterns = cls(msgspec.convert(tables, list[ResponsePattern], dec_hook=decode_hook))
        except msgspec.ValidationError as error:
            # The message ends with msgspec's path, such as " - at `$[0].regex`"; app.config.conversion adds that path
            # to the key. A single value has no index in the configuration.
            raise ValueError(str(error) if items is value else str(error).replace("`$[0]", "`$", 1)) from None
        try:
            if (regex := patterns.combined_regex) is not None:
                compile_regex(regex)
        except re2.error as error:
            raise ValueError(f"expected regular expressions that can be joined by |: {error}") from None
        return patterns

    @functools.cached_property
    def combined_regex(self) -> str | None:
        """One regular expression for all patterns of kind ``regex``, or None if there are none."""
        regexes = [f"(?:{pattern.regex})" for pattern in self if pattern.regex is not None]
        return "|".join(regexes) if regexes else None


#: Response patterns with the outcome that they stand for, in the order in which they are tried.
PatternsByOutcome = tuple[tuple[Outcome, ResponsePatterns], ...]
