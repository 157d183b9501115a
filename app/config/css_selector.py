"""CSS selectors, restricted to those that can be evaluated in time linear in the size of the page.

For each descendant combinator in a selector, lexbor tries every ancestor of the element. ``.a div div div`` takes 8 s
on 20,000 elements nested 64 deep, and ``.a ~ p`` takes 4 s on as many siblings. lexbor holds the GIL during that time.

This module therefore splits a selector into compound selectors. lexbor matches each compound selector in one pass over
the elements, and ``app.extract.css_query`` applies the combinators between them. Selectors that cannot be evaluated in
this way are rejected when the configuration is read.
"""

import functools
import re
from typing import Self

from selectolax.lexbor import LexborHTMLParser

#: A token: text that is not split further, a bracket, a separator (a combinator or a comma, with the white space around
#: it), or white space.
_TOKEN = re.compile(
    r"""(?P<text>(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\(?:[0-9a-fA-F]{1,6}\s?|.)|[^\s>+~,()\[\]"'\\])+)"""
    r"|(?P<open>[(\[])|(?P<close>[)\]])|\s*(?P<separator>[>+~,])\s*|(?P<space>\s+)",
    re.DOTALL,
)
_PSEUDO_CLASS_AT_END = re.compile(r":([a-z-]+)\Z", re.IGNORECASE)
_NTH = frozenset({"nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type"})
_LOGICAL = frozenset({"is", "not", "where"})
_SIBLING_COUNTING = re.compile(r":(?:nth-|(?:first|last|only)-of-type)", re.IGNORECASE)

#: Compound selectors, each with the combinator before it: "" (none), " " (descendant), ">" (child), "+" (next sibling)
#: or "~" (subsequent sibling), which ``CssSelector.parse`` rejects.
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
                    _check_pseudo_classes(compound)
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
        if token is not None and (depth > 0 or not (token["separator"] or token["space"])):
            depth += bool(token["open"]) - bool(token["close"])
            compound += token[0]
            continue
        if not compound or depth != 0:
            raise ValueError("expected a CSS selector")
        compounds.append((combinator, compound))
        compound = ""
        if token is None or token["separator"] == ",":
            result.append(tuple(compounds))
            compounds, combinator = [], ""
        else:
            combinator = token["separator"] or " "
    return tuple(result)


def counts_siblings(selector: str) -> bool:
    """Return whether a selector counts siblings, for example with ``:nth-child()``.

    The cost of such a selector is quadratic in the number of siblings.
    """
    return _SIBLING_COUNTING.search(selector) is not None


def _tokens(text: str) -> list[re.Match[str]]:
    tokens = list(_TOKEN.finditer(text))
    if sum(len(token[0]) for token in tokens) != len(text):
        raise ValueError("expected a CSS selector")
    return tokens


def _check_pseudo_classes(compound: str, *, within_has: bool = False) -> None:
    """Raise ValueError for a functional pseudo-class for which lexbor would search the page again for each element."""
    for name, argument in _functional_pseudo_classes(compound):
        if name in _NTH and not within_has:
            if re.search(r"\bof\b", argument, re.IGNORECASE):
                raise ValueError(f'expected no "of" in :{name}(), which takes too long on hostile pages')
        elif name in _LOGICAL or (name == "has" and not within_has and _is_linear_has_argument(argument)):
            for compounds in parse_selector(argument.lstrip(" >+") if name == "has" else argument):
                if len(compounds) > 1:
                    raise ValueError(f"expected no combinators in :{name}(), which take too long on hostile pages")
                _check_pseudo_classes(compounds[0][1], within_has=within_has or name == "has")
        else:
            raise ValueError(f"expected no :{name}() in this position, because it takes too long on hostile pages")


def _is_linear_has_argument(argument: str) -> bool:
    """Return whether lexbor evaluates ``:has(argument)`` in linear time.

    The argument must select a child or the next sibling, because for any other argument lexbor visits each element once
    for each of its ancestors. The argument must not count siblings, because counting takes quadratic time.
    """
    return argument.strip().startswith((">", "+")) and not counts_siblings(argument)


def _functional_pseudo_classes(compound: str) -> list[tuple[str, str]]:
    """Return the names of the outermost functional pseudo-classes of a compound selector, each with its argument.

    Raises:
        ValueError: a parenthesis does not follow the name of a pseudo-class.

    """
    pseudo_classes = []
    name, argument, depth = "", "", 0
    previous = ""
    for token in _tokens(compound):
        if token["close"]:
            depth -= 1
            if depth == 0 and name:
                pseudo_classes.append((name, argument))
                name = ""
        if depth > 0:
            argument += token[0]
        if token["open"]:
            depth += 1
            if depth == 1 and token[0] == "(":
                pseudo_class = _PSEUDO_CLASS_AT_END.search(previous)
                if pseudo_class is None:
                    raise ValueError("expected a CSS selector")
                name, argument = pseudo_class[1].lower(), ""
        previous = token[0]
    return pseudo_classes
