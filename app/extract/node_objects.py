"""The images of a page's structured data, which are node objects in the form of JSON-LD, whatever their syntax is.

A node object is a dict of properties. The values of a property are strings and node objects, one or a list.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from app.extract.schema_types import Relevance, local_name, relevance_of

Node = dict[str, Any]

#: A property may be written with a prefix or as a URL, like a type.
_VOCABULARIES = ("", "schema:", "https://schema.org/", "http://schema.org/")


def find_images(nodes: Sequence[Node], name: str, type_name: str | None = None) -> Iterator[str]:
    """Return the image URLs in the property ``name`` (such as ``image``) of the top-level nodes of a page.

    The nodes are ordered by what they describe: the main entity of the page, then the other nodes by their relevance,
    without irrelevant ones. The image of a web page may also be its ``primaryImageOfPage``. With ``type_name``, all
    nodes of this type are used, and no others.

    A value is a URL, an ImageObject, a reference to an ImageObject (``{"@id": …}``), or a list of these. Properties of
    nodes inside other properties are not used, because the image of an author is not the image of the book.
    """
    images_by_id = _index(node for node in nodes if any(_values(node, key) for key in ("url", "contentUrl")))
    wanted = None if type_name is None else local_name(type_name)
    for node, types in _by_relevance(nodes, wanted):
        values = _values(node, name)
        if name == "image" and relevance_of(types) is Relevance.WEB_PAGE:
            values = values + _values(node, "primaryImageOfPage")
        for value in values:
            yield from _image_urls(value, images_by_id)


def _by_relevance(nodes: Sequence[Node], wanted: str | None) -> list[tuple[Node, list[str]]]:
    """Return the nodes with the wanted type, or all relevant ones, with their types, in the order of relevance."""
    main_entities = _main_entities(nodes)
    ranked = []
    for node in {id(node): node for node in (*main_entities.values(), *nodes)}.values():
        types = _types(node)
        relevance = relevance_of(types)
        if relevance is not Relevance.NONE if wanted is None else wanted in types:
            ranked.append((id(node) not in main_entities, relevance, node, types))
    ranked.sort(key=lambda entry: entry[:2])
    return [(node, types) for _, _, node, types in ranked]


def _main_entities(nodes: Sequence[Node]) -> dict[int, Node]:
    """Return the nodes that are values of ``mainEntity``, or to which these values refer, by their ``id()``."""
    if not any(_values(node, "mainEntity") for node in nodes):
        return {}
    # On some pages, the web page and its main entity have the same @id.
    nodes_by_id = _index(sorted(nodes, key=lambda node: relevance_of(_types(node))))
    found: dict[int, Node] = {}
    pending = list(nodes)
    for node in pending:
        for value in _values(node, "mainEntity"):
            if isinstance(value, dict):
                is_reference = len(value) == 1 and _has_id(value)
                entity = nodes_by_id.get(value["@id"], value) if is_reference else value
                if id(entity) not in found:
                    found[id(entity)] = entity
                    pending.append(entity)
    return found


def _image_urls(value: Any, images_by_id: dict[str, Node]) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for image in (value, images_by_id.get(value["@id"]) if _has_id(value) else None):
            urls = [url for key in ("url", "contentUrl") for url in _values(image or {}, key) if isinstance(url, str)]
            if urls:
                yield from urls
                return


def _values(node: Node, name: str) -> list[Any]:
    """Return the values of a property, of which the name may have a prefix."""
    for vocabulary in _VOCABULARIES:
        value = node.get(vocabulary + name)
        if value is not None:
            return value if isinstance(value, list) else [value]
    return []


def _types(node: Node) -> list[str]:
    return [local_name(name) for name in _values(node, "@type") if isinstance(name, str)]


def _index(nodes: Iterable[Node]) -> dict[str, Node]:
    """Return the first node for each ``@id``."""
    index: dict[str, Node] = {}
    for node in nodes:
        if _has_id(node):
            index.setdefault(node["@id"], node)
    return index


def _has_id(node: Node) -> bool:
    return isinstance(node.get("@id"), str)
