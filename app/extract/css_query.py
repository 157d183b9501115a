"""Which elements a selector matches, found one compound after the other, each by one walk over the page.

A parser that is given the whole selector looks for the ancestors of each element anew, and looks at their attributes
each time: see ``app.config.css_selector``. Here each compound is matched once, and what remains is to tell of each
element whether one that was matched before is above it, its parent, or right before it. Parsers hold the GIL while they
walk; the steps between are Python, so that even a hostile page in a thread leaves the others their turn.
"""

from collections.abc import Iterable

from selectolax.lexbor import LexborHTMLParser, LexborNode

from app.config.css_selector import ComplexSelector, parse_selector


def select_elements(tree: LexborHTMLParser, selector: str) -> list[LexborNode]:
    """Return the elements that ``selector`` matches, in the order of the page.

    Raises ValueError or SelectolaxError when it is no selector.
    """
    alternatives = parse_selector(selector)
    if all(len(path) == 1 for path in alternatives):
        return tree.css(selector)
    found = [_walk(tree, path) for path in alternatives]
    if len(found) == 1:
        return found[0]
    ids = {element.mem_id for elements in found for element in elements}
    return [element for element in tree.css(", ".join(path[-1][1] for path in alternatives)) if element.mem_id in ids]


def _walk(tree: LexborHTMLParser, path: ComplexSelector) -> list[LexborNode]:
    elements: list[LexborNode] = []
    for combinator, compound in path:
        before = {element.mem_id for element in elements}
        if combinator and not before:
            return []
        elements = tree.css(compound)
        if combinator == ">":
            elements = [e for e in elements if e.parent is not None and e.parent.mem_id in before]
        elif combinator == "+":
            elements = [e for e in elements if (sibling := _element_before(e)) is not None and sibling.mem_id in before]
        elif combinator:
            elements = _below(elements, before)
    return elements


def _below(elements: Iterable[LexborNode], outer: set[int]) -> list[LexborNode]:
    """Return those elements that have one of ``outer`` above them. Each ancestor is asked once."""
    is_within: dict[int, bool] = {}
    found = []
    for element in elements:
        passed = []
        node, verdict = element.parent, False
        while node is not None:
            if (known := is_within.get(node.mem_id)) is not None:
                verdict = known
                break
            passed.append(node.mem_id)
            if node.mem_id in outer:
                verdict = True
                break
            node = node.parent
        is_within.update(dict.fromkeys(passed, verdict))
        if verdict:
            found.append(element)
    return found


def _element_before(element: LexborNode) -> LexborNode | None:
    node = element.prev
    while node is not None and not node.is_element_node:
        node = node.prev
    return node
