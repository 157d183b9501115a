"""JSON-LD (https://www.w3.org/TR/json-ld11/): the image URLs in the node objects of a page."""

from collections.abc import Iterator
from typing import Any

from app.extract.document import Document
from app.extract.image_url import decode_entities


def find_json_ld_images(document: Document, name: str) -> Iterator[str]:
    """Return the image URLs in the property ``name`` (such as ``image``) of all node objects that describe the page.

    A value is a URL, an ImageObject, a reference to one (``{"@id": …}``), or an array of these.

    Raises:
        UnreadablePage: the page cannot be parsed, or none of its JSON-LD blocks can.

    """
    nodes = [node for value in document.json_ld for node in _top_level_nodes(value)]
    nodes_by_id = {node["@id"]: node for node in nodes if isinstance(node.get("@id"), str)}
    for node in nodes:
        for value in _as_list(node.get(name)):
            for url in _image_urls(value, nodes_by_id):
                yield decode_entities(url)


def _top_level_nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Return the node objects at the top level, in arrays and in ``@graph``, in document order.

    Node objects in other properties are not included: the image of an author is not the image of the book.
    """
    pending = [value]
    while pending:
        match pending.pop():
            case list(values):
                pending += reversed(values)
            case dict(node):
                yield node
                pending.append(node.get("@graph"))


def _image_urls(value: Any, nodes_by_id: dict[str, Any]) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        if value.keys() == {"@id"} and isinstance(value["@id"], str):
            value = nodes_by_id.get(value["@id"], {})
        for key in ("url", "contentUrl"):
            yield from (url for url in _as_list(value.get(key)) if isinstance(url, str))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
