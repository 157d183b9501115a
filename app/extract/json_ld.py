"""JSON-LD (https://www.w3.org/TR/json-ld11/): the image URLs in the scripts of a page."""

from collections.abc import Iterator
from typing import Any

from app.extract.document import Document
from app.extract.image_url import decode_entities
from app.extract.node_objects import Node, find_images


def find_json_ld_images(document: Document, name: str, type_name: str | None = None) -> Iterator[str]:
    """Return the image URLs in the property ``name`` of the page's JSON-LD, as ``find_images`` does.

    Raises:
        UnreadablePage: the page cannot be parsed, or all of its JSON-LD blocks are invalid.

    """
    nodes = [node for value in document.json_ld for node in _top_level_nodes(value)]
    return map(decode_entities, find_images(nodes, name, type_name))


def _top_level_nodes(value: Any) -> Iterator[Node]:
    """Return the node objects at the top level, in arrays and in ``@graph``, in document order."""
    pending = [value]
    while pending:
        match pending.pop():
            case list(values):
                pending += reversed(values)
            case dict(node):
                yield node
                pending.append(node.get("@graph"))
