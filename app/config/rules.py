"""Extraction rules: how to find a cover on a page, as data that is validated when the configuration is read.

The value types of the configuration (``Regex``, ``JmesPath`` and others) have a class method ``parse``. It returns the
value, or raises ValueError with a text that begins with "expected".
"""

import functools
import re
from typing import Any, ClassVar, Self

import jmespath
import msgspec
import re2

from app.config.css_selector import CssSelector
from app.config.url_templates import ImageUrlTemplate

#: Instructions of a compiled pattern. When RE2 has to abandon its DFA, each byte costs up to 20 ns per instruction.
_MAX_PROGRAM_SIZE = 2000

#: The attribute names that an HTML parser can produce (WHATWG, 13.1.2.3).
_ATTRIBUTE_NAME = re.compile(r"""[^\s\x00-\x1f"'<>/=]+""")
#: The name of a type, which may have a prefix or be the last part of a URL.
_TYPE_NAME = re.compile(r"(?:[!-~]*[/#:])?[A-Za-z0-9_-]+", re.ASCII)


class Regex(str):
    """A regular expression of google-re2, which runs in linear time and has no look-around and no back-references."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a regular expression."""
        if not isinstance(value, str) or not value:
            raise ValueError("expected a regular expression")
        try:
            compiled = compile_regex(value)
        except re2.error as error:
            text = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
            raise ValueError(
                f"expected a regular expression of RE2 (without look-around and back-references): {text}"
            ) from None
        if compiled.programsize > _MAX_PROGRAM_SIZE:
            raise ValueError(
                "expected a regular expression with smaller counts: x{1,500} is compiled to 500 copies of x"
            )
        return cls(value)


@functools.cache
def compile_regex(pattern: str) -> Any:
    """Compile a pattern for searching UTF-8 bytes.

    A pattern that is compiled from a str would encode the whole text at each search.
    """
    options = re2.Options()
    options.log_errors = False  # re2 would write them to standard error
    return re2.compile(pattern.encode(), options)


class JmesPath(str):
    """A JMESPath expression."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate an expression."""
        if not isinstance(value, str):
            raise ValueError("expected a JMESPath expression")
        try:
            # Unknown functions and missing arguments are reported by a search, not by compiling.
            compile_jmespath(value).search(None)
        except jmespath.exceptions.JMESPathTypeError:
            return cls(value)  # a function that does not accept null may accept the values of a page
        except (jmespath.exceptions.JMESPathError, RecursionError) as error:
            raise ValueError(f"expected a JMESPath expression: {str(error).splitlines()[0]}") from None
        return cls(value)


compile_jmespath = functools.cache(jmespath.compile)


class TypeName(str):
    """The name of a type in structured data, such as ``Product`` or ``https://schema.org/Product``."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a type name."""
        if not isinstance(value, str) or not _TYPE_NAME.fullmatch(value):
            raise ValueError('expected the name of a type, such as "Product"')
        return cls(value)


class Matcher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the configuration in which exactly one of the keys in ``KINDS`` is set."""

    KINDS: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        kinds = [kind for kind in self.KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"expected exactly one of {', '.join(self.KINDS)}")
        if not getattr(self, kinds[0]):
            raise ValueError(f"expected {kinds[0]} not to be empty")

    @property
    def kind(self) -> str:
        """The name of the key that is set."""
        for kind in self.KINDS:  # four times as fast as a generator, and read several times per page
            if getattr(self, kind) is not None:
                return kind
        raise AssertionError("__post_init__ rejects a table without a kind")

    def __str__(self) -> str:
        return f"{self.kind} {getattr(self, self.kind)}"


class Rule(Matcher, frozen=True, forbid_unknown_fields=True):
    """One way to find the cover on a page.

    Exactly one of the keys in ``KINDS`` is set. Its name is the kind of the rule. ``attribute`` is allowed only with
    ``css``; it is the attribute that contains the URL, ``src`` by default. ``type`` is allowed only with ``jsonld`` and
    ``microdata``; it is the type of the nodes or items that are searched. ``image_url`` is the template for the matches
    of the rule, and takes precedence over the template of the source.
    """

    KINDS = ("regex", "css", "meta", "jsonld", "microdata", "json")

    regex: Regex | None = None
    css: CssSelector | None = None
    attribute: str | None = None
    meta: str | None = None
    jsonld: str | None = None
    microdata: str | None = None
    type: TypeName | None = None
    json: JmesPath | None = None
    image_url: ImageUrlTemplate | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attribute is not None and self.css is None:
            raise ValueError("attribute is only allowed with css")
        if self.attribute is not None and not _ATTRIBUTE_NAME.fullmatch(self.attribute):
            raise ValueError("expected an HTML attribute name as attribute")
        if self.type is not None and self.jsonld is None and self.microdata is None:
            raise ValueError("type is only allowed with jsonld and microdata")

    def __str__(self) -> str:
        attribute = f" @{self.attribute}" if self.attribute else ""
        type_name = f" of {self.type}" if self.type else ""
        image_url = f" -> {self.image_url}" if self.image_url else ""
        return f"{super().__str__()}{attribute}{type_name}{image_url}"


#: The kinds of rules that read the page as HTML.
HTML_RULE_KINDS = frozenset({"css", "meta", "jsonld", "microdata"})


def decode_hook(expected: type[Any], value: object) -> object:
    """Decode the types that have a ``parse`` method, for msgspec's ``dec_hook``."""
    return expected.parse(value)
