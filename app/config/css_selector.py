"""CSS selectors, restricted to those that can be evaluated in time linear in the size of the page.

lexbor evaluates a whole selector by trying each ancestor for each descendant combinator. ``.a div div div`` takes 8 s
on 20,000 elements nested 64 deep, ``.a ~ p`` takes 4 s on as many siblings, and both hold the GIL meanwhile. So a
selector is split here into compound selectors, each of which needs one pass over the elements, and
``app.extract.css_query`` applies the combinators between them. Selectors that cannot be evaluated in this way are
rejected when the configuration is read.
"""

import functools
import re
from typing import Self

from selectolax.lexbor import LexborHTMLParser

#: A token: text that is not split further, a bracket, a combinator or comma with white space around it, or white space.
_TOKEN = re.compile(
    r"""(?P<text>(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\(?:[0-9a-fA-F]{1,6}\s?|.)|[^\s>+~,()\[\]"'\\])+)"""
    r"|(?P<open>[(\[])|(?P<close>[)\]])|\s*(?P<combinator>[>+~,])\s*|(?P<space>\s+)",
    re.DOTALL,
)
_FUNCTION = re.compile(r":([a-z-]+)\Z", re.IGNORECASE)
_NTH = frozenset({"nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type"})
_LOGICAL = frozenset({"is", "not", "where"})
_COUNTING = re.compile(r":(?:nth-|(?:first|last|only)-of-type)", re.IGNORECASE)

#: Compound selectors, each with the combinator before it: "" (none), " " (descendant), ">" (child), "+" (next sibling).
ComplexSelector = tuple[tuple[str, str], ...]


class CssSelector(str):
    """A CSS selector that can be evaluated in linear time."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a selector."""
        if not isinstance(value, str) or not value.strip():
            raise ValueError("expected a CSS selector")
        document = LexborHTMLParser("<p>")
        try:
            for compounds in parse_selector(value):
                for combinator, compound in compounds:
                    if combinator == "~":
                        raise ValueError("expected a CSS selector without ~, which takes too long on hostile pages")
                    _check_functions(compound)
                    document.css_first(compound)
        except ValueError:
            raise
        except Exception as error:  # the exceptions of lexbor, and RecursionError
            raise ValueError("expected a CSS selector") from error
        return cls(value)


@functools.cache
def parse_selector(selector: str) -> tuple[ComplexSelector, ...]:
    """Split a selector list into complex selectors, and these into compound selectors.

    Raises:
        ValueError: the text is not a selector.

    """
    result: list[ComplexSelector] = []
    compounds: list[tuple[str, str]] = []
    combinator, compound, depth = "", "", 0
    for token in (*_tokens(selector.strip()), None):
        is_comma = token is not None and token["combinator"] == ","
        if token is not None and (depth > 0 or not (token["combinator"] or token["space"])):
            depth += bool(token["open"]) - bool(token["close"])
            compound += token[0]
            continue
        if not compound or depth != 0:
            raise ValueError("expected a CSS selector")
        compounds.append((combinator, compound))
        combinator, compound = (token["combinator"] or " ") if token is not None and not is_comma else "", ""
        if token is None or is_comma:
            result.append(tuple(compounds))
            compounds = []
    return tuple(result)


def counts_siblings(selector: str) -> bool:
    """Whether a selector counts siblings, as ``:nth-child()`` does: then its cost is quadratic in their number."""
    return _COUNTING.search(selector) is not None


def _tokens(text: str) -> list[re.Match[str]]:
    tokens = list(_TOKEN.finditer(text))
    if sum(len(token[0]) for token in tokens) != len(text):
        raise ValueError("expected a CSS selector")
    return tokens


def _check_functions(compound: str, *, within_has: bool = False) -> None:
    """Reject functions for which lexbor would search the page again for each element. Raises ValueError."""
    for name, argument in _functions(compound):
        if name in _NTH and not within_has:
            if re.search(r"\bof\b", argument, re.IGNORECASE):
                raise ValueError(f'expected no "of" in :{name}(), which takes too long on hostile pages')
        elif name in _LOGICAL or (name == "has" and not within_has and _is_local(argument)):
            for compounds in parse_selector(argument.lstrip(" >+") if name == "has" else argument):
                if len(compounds) > 1:
                    raise ValueError(f"expected no combinators in :{name}(), which take too long on hostile pages")
                _check_functions(compounds[0][1], within_has=within_has or name == "has")
        else:
            raise ValueError(f"expected a CSS selector without :{name}() here, which takes too long on hostile pages")


def _is_local(argument: str) -> bool:
    """Whether the argument of :has() selects a child or the next sibling.

    For any other argument, lexbor would visit each element once for each of its ancestors.
    """
    return argument.strip().startswith((">", "+")) and not counts_siblings(argument)


def _functions(compound: str) -> list[tuple[str, str]]:
    """Return the outermost functions of a compound selector, each with its argument."""
    functions = []
    name, argument, depth = "", "", 0
    previous = ""
    for token in _tokens(compound):
        if token["close"]:
            depth -= 1
            if depth == 0 and name:
                functions.append((name, argument))
                name = ""
        if depth > 0:
            argument += token[0]
        if token["open"]:
            depth += 1
            if depth == 1:
                function = _FUNCTION.search(previous) if token[0] == "(" else None
                name, argument = function[1].lower() if function else "" if token[0] == "[" else "?", ""
        previous = token[0]
    return functions
