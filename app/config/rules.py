"""Rules as data: the ways to find a cover on a page, each checked when the configuration is read."""

import functools
import re
from typing import Any, Self

import jmespath
import msgspec
import re2

from app.config.css_selector import CssSelector
from app.config.url_templates import ImageUrlTemplate

#: Instructions of a compiled pattern. Where RE2 gives up its automaton, each byte costs up to 20 ns for each of them.
_MAX_PROGRAM = 2000


#: What a parser of HTML can make an attribute's name of (WHATWG, 13.1.2.3).
_ATTRIBUTE = re.compile(r"""[^\s\x00-\x1f"'<>/=]+""")


class Regex(str):
    """A regular expression that google-re2 takes: linear in time, so without look-around and back-references."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a pattern."""
        if not isinstance(value, str) or not value:
            raise ValueError("expected a regular expression")
        try:
            compiled = compile_regex(value)
        except re2.error as error:
            text = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
            raise ValueError(
                f"expected a regular expression of RE2 (it has no look-around and no back-references): {text}"
            ) from None
        if compiled.programsize > _MAX_PROGRAM:
            raise ValueError("expected a regular expression with smaller counts: {1,500} is 500 times what it repeats")
        return cls(value)


@functools.cache
def compile_regex(pattern: str) -> Any:
    """Compile for use on UTF-8 bytes: re2 works on these, and a str would be encoded anew for each search."""
    options = re2.Options()
    options.log_errors = False  # it would write to standard error by itself
    return re2.compile(pattern.encode(), options)


class JmesPath(str):
    """A JMESPath expression."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read an expression."""
        if not isinstance(value, str):
            raise ValueError("expected a JMESPath expression")
        try:
            # Searched once as well: that is when an unknown function, or one with too few arguments, comes out.
            compile_jmespath(value).search(None)
        except jmespath.exceptions.JMESPathTypeError:
            return cls(value)  # a function that wants something else than null: pages have that
        except (jmespath.exceptions.JMESPathError, RecursionError) as error:
            raise ValueError(f"expected a JMESPath expression: {str(error).splitlines()[0]}") from None
        return cls(value)


compile_jmespath = functools.cache(jmespath.compile)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to find the cover on a page: exactly one kind, and for ``css`` the attribute that holds the URL.

    ``image_url`` is the template that its match is put into, in place of the source's.
    """

    regex: Regex | None = None
    css: CssSelector | None = None
    attribute: str | None = None
    meta: str | None = None
    jsonld: str | None = None
    json: JmesPath | None = None
    image_url: ImageUrlTemplate | None = None

    def __post_init__(self) -> None:
        kinds = [kind for kind in RULE_KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"expected exactly one of {', '.join(RULE_KINDS)}")
        if not getattr(self, kinds[0]):
            raise ValueError(f"expected a text behind {kinds[0]}")
        if self.attribute is not None and self.css is None:
            raise ValueError("attribute goes with css alone")
        if self.attribute is not None and not _ATTRIBUTE.fullmatch(self.attribute):
            raise ValueError("expected the name of an attribute behind attribute")

    @property
    def kind(self) -> str:
        """The one of ``RULE_KINDS`` that this rule is."""
        for kind in RULE_KINDS:  # a generator would take four times as long, and each page asks several times
            if getattr(self, kind) is not None:
                return kind
        raise AssertionError("there is exactly one")

    def __str__(self) -> str:
        attribute = f" @{self.attribute}" if self.attribute else ""
        image_url = f" -> {self.image_url}" if self.image_url else ""
        return f"{self.kind} {getattr(self, self.kind)}{attribute}{image_url}"


RULE_KINDS = ("regex", "css", "meta", "jsonld", "json")

#: The kinds that need the page parsed as HTML.
HTML_RULE_KINDS = frozenset({"css", "meta", "jsonld"})


def decode_hook(expected: type[Any], value: object) -> object:
    """Tell msgspec how to read the types that have a ``parse`` of their own."""
    return expected.parse(value)
