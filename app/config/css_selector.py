"""A CSS selector, taken only where finding its elements costs no more than the page is long.

A parser that walks a selector as it stands tries each ancestor for each descendant combinator: ``.a div div div`` takes
8 s on 20,000 elements nested 64 deep, ``.a ~ p`` 4 s on as many siblings, and holds the GIL meanwhile. So a selector is
split here into its compounds, which cost one look at each element, and who evaluates it (``app.extract.css_query``)
goes from one compound to the next by itself. What cannot be done so is refused when the configuration is read.
"""

import functools
import re
from typing import Self

from selectolax.lexbor import LexborHTMLParser

#: A part of a compound that is no syntax here; a run of brackets; a combinator or a comma with its blanks.
_TOKEN = re.compile(
    r"""(?P<text>(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\(?:[0-9a-fA-F]{1,6}\s?|.)|[^\s>+~,()\[\]"'\\])+)"""
    r"|(?P<open>[(\[])|(?P<close>[)\]])|\s*(?P<combinator>[>+~,])\s*|(?P<blank>\s+)",
    re.DOTALL,
)
_FUNCTION = re.compile(r":([a-z-]+)\Z", re.IGNORECASE)
_NTH = frozenset({"nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type"})
_LOGICAL = frozenset({"is", "not", "where"})
_COUNTING = re.compile(r":(?:nth-|(?:first|last|only)-of-type)", re.IGNORECASE)

#: Compounds, each with the combinator before it: "", " " (below it), ">" (its child) or "+" (right after it).
CompoundPath = tuple[tuple[str, str], ...]


class CssSelector(str):
    """A CSS selector that is linear in the page."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a selector."""
        if not isinstance(value, str) or not value.strip():
            raise ValueError("expected a CSS selector")
        nothing = LexborHTMLParser("<p>")
        try:
            for path in parse_selector(value):
                for combinator, compound in path:
                    if combinator == "~":
                        raise ValueError("expected a CSS selector without ~, which takes too long on hostile pages")
                    _check_functions(compound)
                    nothing.css_first(compound)
        except ValueError:
            raise
        except Exception as error:  # lexbor's, which are many, and RecursionError
            raise ValueError("expected a CSS selector") from error
        return cls(value)


@functools.cache
def parse_selector(selector: str) -> tuple[CompoundPath, ...]:
    """Return what a selector matches, each of its alternatives as a path of compounds.

    Raises:
        ValueError: it is no selector.

    """
    result: list[CompoundPath] = []
    path: list[tuple[str, str]] = []
    combinator, compound, depth = "", "", 0
    for token in (*_tokens(selector.strip()), None):
        is_comma = token is not None and token["combinator"] == ","
        if token is not None and (depth > 0 or not (token["combinator"] or token["blank"])):
            depth += bool(token["open"]) - bool(token["close"])
            compound += token[0]
            continue
        if not compound or depth != 0:
            raise ValueError("expected a CSS selector")
        path.append((combinator, compound))
        combinator, compound = (token["combinator"] or " ") if token is not None and not is_comma else "", ""
        if token is None or is_comma:
            result.append(tuple(path))
            path = []
    return tuple(result)


def counts_siblings(selector: str) -> bool:
    """Whether a selector counts siblings: for each element, that costs as much as it has of them."""
    return _COUNTING.search(selector) is not None


def _tokens(text: str) -> list[re.Match[str]]:
    tokens = list(_TOKEN.finditer(text))
    if sum(len(token[0]) for token in tokens) != len(text):
        raise ValueError("expected a CSS selector")
    return tokens


def _check_functions(compound: str, *, within_has: bool = False) -> None:
    """Refuse functions within which a parser would walk the page once more for each element. Raises ValueError."""
    for name, argument in _functions(compound):
        if name in _NTH and not within_has:
            if re.search(r"\bof\b", argument, re.IGNORECASE):
                raise ValueError(f'expected no "of" in :{name}(), which takes too long on hostile pages')
        elif name in _LOGICAL or (name == "has" and not within_has and _looks_near(argument)):
            for path in parse_selector(argument.lstrip(" >+") if name == "has" else argument):
                if len(path) > 1:
                    raise ValueError(f"expected no combinators in :{name}(), which take too long on hostile pages")
                _check_functions(path[0][1], within_has=within_has or name == "has")
        else:
            raise ValueError(f"expected a CSS selector without :{name}() here, which takes too long on hostile pages")


def _looks_near(argument: str) -> bool:
    """Whether what :has() looks for is a child or the next sibling: else each element is looked at by all above it."""
    return argument.strip().startswith((">", "+")) and not counts_siblings(argument)


def _functions(compound: str) -> list[tuple[str, str]]:
    """Return the functions of a compound, outermost ones only, each with what stands in its parentheses."""
    found = []
    name, argument, depth = "", "", 0
    before = ""
    for token in _tokens(compound):
        if token["close"]:
            depth -= 1
            if depth == 0 and name:
                found.append((name, argument))
                name = ""
        if depth > 0:
            argument += token[0]
        if token["open"]:
            depth += 1
            if depth == 1:
                function = _FUNCTION.search(before) if token[0] == "(" else None
                name, argument = function[1].lower() if function else "" if token[0] == "[" else "?", ""
        before = token[0]
    return found
