"""Signs as data: by what an origin's answer tells that it is no page of an item, but something else."""

import functools
from typing import Annotated, Self

import msgspec
import re2

from app.config.css_selector import CssSelector
from app.config.rules import JmesPath, Regex, compile_regex, decode_hook


class ResponsePattern(msgspec.Struct, frozen=True, cache_hash=True, forbid_unknown_fields=True):
    """Something by which an answer tells what it means: exactly one kind.

    ``status`` is an HTTP status other than 200; the others are looked for on pages: a regular expression, a CSS
    selector that matches an element, a JMESPath expression whose result is true as JMESPath has it (not false, null,
    "", [] or {}).
    """

    status: Annotated[int, msgspec.Meta(ge=201, le=999)] | None = None
    regex: Regex | None = None
    css: CssSelector | None = None
    json: JmesPath | None = None

    def __post_init__(self) -> None:
        kinds = [kind for kind in PATTERN_KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"expected exactly one of {', '.join(PATTERN_KINDS)}")
        if not getattr(self, kinds[0]):
            raise ValueError(f"expected a text behind {kinds[0]}")

    @property
    def kind(self) -> str:
        """The one of ``SIGN_KINDS`` that this sign is."""
        for kind in PATTERN_KINDS:  # a generator would take four times as long, and each page asks several times
            if getattr(self, kind) is not None:
                return kind
        raise AssertionError("there is exactly one")

    def __str__(self) -> str:
        return f"{self.kind} {getattr(self, self.kind)}"


PATTERN_KINDS = ("status", "regex", "css", "json")


class ResponsePatterns(tuple[ResponsePattern, ...]):  # noqa: SLOT001 - it remembers its pattern
    """The signs of one meaning: in the configuration one, or an array of them; a plain text is a regex."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read one sign or an array of them."""
        given = value if isinstance(value, list) else [value]
        if not all(isinstance(sign, str | dict) for sign in given):
            raise ValueError(f"expected a regular expression, or a table with one of {', '.join(PATTERN_KINDS)}")
        tables = [{"regex": sign} if isinstance(sign, str) else sign for sign in given]
        try:
            signs = cls(msgspec.convert(tables, list[ResponsePattern], dec_hook=decode_hook))
        except msgspec.ValidationError as error:
            # What reads the configuration tells the place within a value by msgspec's words: " - at `$[0].regex`".
            raise ValueError(str(error) if given is value else str(error).replace("`$[0]", "`$", 1)) from None
        try:
            if (pattern := signs.combined_regex) is not None:
                compile_regex(pattern)
        except re2.error as error:
            raise ValueError(f"expected regular expressions that can stand side by side: {error}") from None
        return signs

    @functools.cached_property
    def combined_regex(self) -> str | None:
        """One regular expression for all that there are, None for none."""
        patterns = [f"(?:{sign.regex})" for sign in self if sign.regex is not None]
        return "|".join(patterns) if patterns else None
