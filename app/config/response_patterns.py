"""Response patterns, which recognise responses that are not the item's page, such as error or challenge pages."""

import functools
from typing import Annotated, Self

import msgspec
import re2

from app.config.css_selector import CssSelector
from app.config.rules import JmesPath, Matcher, Regex, compile_regex, decode_hook
from app.domain.records import Outcome


class ResponsePattern(Matcher, frozen=True, cache_hash=True, forbid_unknown_fields=True):
    """A pattern that classifies a response.

    Exactly one of the keys in ``KINDS`` is set. Its name is the kind of the pattern.

    - ``status`` matches a response with this HTTP status, which must not be 200.
    - ``regex`` matches a page that contains a match of the regular expression.
    - ``css`` matches an HTML page in which the selector selects an element.
    - ``json`` matches a JSON page for which the result of the expression is true. In JMESPath, all values are true
      except false, null, "", [] and {}.
    """

    KINDS = ("status", "regex", "css", "json")

    status: Annotated[int, msgspec.Meta(ge=201, le=999)] | None = None
    regex: Regex | None = None
    css: CssSelector | None = None
    json: JmesPath | None = None


class ResponsePatterns(tuple[ResponsePattern, ...]):  # noqa: SLOT001 - combined_regex is cached in the __dict__
    """The patterns of one outcome.

    In the configuration, the value is one pattern or an array of patterns. A string is a pattern of kind ``regex``.
    """

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
            # The message ends with the path inside the value, such as " - at `$[0].regex`", which app.config.conversion
            # appends to the key. The index is removed for a single pattern, which is no array in the configuration.
            raise ValueError(str(error) if items is value else str(error).replace("`$[0]", "`$", 1)) from None
        try:
            if (regex := patterns.combined_regex) is not None:
                compile_regex(regex)
        except re2.error as error:
            raise ValueError(
                f"expected regular expressions that are also valid when combined with |: {error}"
            ) from None
        return patterns

    @functools.cached_property
    def combined_regex(self) -> str | None:
        """One regular expression for all patterns of kind ``regex``, or None if there are none."""
        regexes = [f"(?:{pattern.regex})" for pattern in self if pattern.regex is not None]
        return "|".join(regexes) if regexes else None


#: Outcomes with their response patterns, in the order in which they are tried.
OutcomePatterns = tuple[tuple[Outcome, ResponsePatterns], ...]
