"""Evaluation of CSS selectors in linear time, one compound selector after the other.

lexbor, given a whole selector, searches the ancestors of each element again (see ``app.config.css_selector``). Here
lexbor matches each compound selector in one pass over the page, and the combinators between them are applied to the
results. lexbor holds the GIL during a pass; the steps between are Python, so that other threads can run even while a
thread evaluates selectors on a hostile page.
"""

from collections.abc import Iterable

from selectolax.lexbor import LexborHTMLParser, LexborNode

from app.config.css_selector import ComplexSelector, parse_selector


def select_elements(tree: LexborHTMLParser, selector: str) -> list[LexborNode]:
    """Return the elements that ``selector`` matches, in document order.

    Raises:
        ValueError, SelectolaxError: the selector is not valid.

    """
    alternatives = parse_selector(selector)
    if all(len(compounds) == 1 for compounds in alternatives):
        return tree.css(selector)
    results = [_select(tree, compounds) for compounds in alternatives]
    if len(results) == 1:
        return results[0]
    # A search for the last compound selectors of all alternatives gives the document order.
    ids = {element.mem_id for elements in results for element in elements}
    candidates = tree.css(", ".join(compounds[-1][1] for compounds in alternatives))
    return [element for element in candidates if element.mem_id in ids]


def _select(tree: LexborHTMLParser, selector: ComplexSelector) -> list[LexborNode]:
    elements: list[LexborNode] = []
    for combinator, compound in selector:
        left = {element.mem_id for element in elements}  # matched by the part to the left of the combinator
        if combinator and not left:
            return []
        elements = tree.css(compound)
        if combinator == ">":
            elements = [e for e in elements if e.parent is not None and e.parent.mem_id in left]
        elif combinator == "+":
            elements = [e for e in elements if (s := _previous_sibling_element(e)) is not None and s.mem_id in left]
        elif combinator:
            elements = _descendants(elements, left)
    return elements


def _descendants(elements: Iterable[LexborNode], ancestors: set[int]) -> list[LexborNode]:
    """Return the elements that have one of ``ancestors`` above them. Each node of the page is visited at most once."""
    is_within: dict[int, bool] = {}
    descendants = []
    for element in elements:
        visited = []
        node, result = element.parent, False
        while node is not None:
            if (cached := is_within.get(node.mem_id)) is not None:
                result = cached
                break
            visited.append(node.mem_id)
            if node.mem_id in ancestors:
                result = True
                break
            node = node.parent
        is_within.update(dict.fromkeys(visited, result))
        if result:
            descendants.append(element)
    return descendants


def _previous_sibling_element(element: LexborNode) -> LexborNode | None:
    node = element.prev
    while node is not None and not node.is_element_node:
        node = node.prev
    return node
