"""Microdata (WHATWG, 5): the image URLs in the items of a page."""

from collections.abc import Iterator

from selectolax.lexbor import LexborNode

from app.extract.document import Document
from app.extract.node_objects import Node, find_images
from app.extract.srcset import largest_image

#: The attributes that contain the value of a property, by element (5.2.4). The value of any other element is its text,
#: which is not used.
_VALUE_ATTRIBUTES = {
    "a": "href",
    "area": "href",
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "meta": "content",
    "object": "data",
    "source": "src",
    "track": "src",
    "video": "src",
}


def find_microdata_images(document: Document, name: str, type_name: str | None = None) -> Iterator[str]:
    """Return the image URLs in the property ``name`` of the page's microdata items, as ``find_images`` does.

    Properties outside all items are read as those of a last item, whose type is WebPage.

    Raises:
        UnreadablePage: the page cannot be parsed.

    """
    return find_images(_top_level_items(document), name, type_name)


def _top_level_items(document: Document) -> list[Node]:
    """Return the items that are not properties of other items, in document order, as node objects.

    The last one is the page with the properties outside all items.
    """
    elements = {element.mem_id: (element, element.attributes) for element in document.select("[itemscope], [itemprop]")}
    items: dict[int, Node] = {
        mem_id: {"@type": (attributes.get("itemtype") or "").split()}
        for mem_id, (_, attributes) in elements.items()
        if "itemscope" in attributes
    }
    references: dict[str, Node] = {}
    for mem_id, item in items.items():
        references |= dict.fromkeys((elements[mem_id][1].get("itemref") or "").split(), item)
    owners = _PropertyOwners(items, _referenced_elements(document, references))
    page: Node = {"@type": ["WebPage"]}
    top_level = []
    for mem_id, (element, attributes) in elements.items():
        names = (attributes.get("itemprop") or "").split()
        if not names:
            top_level += [items[mem_id]] if mem_id in items else []
            continue
        owner = owners.owner_of(element)
        values = [items[mem_id]] if mem_id in items else _urls(element.tag, attributes)
        for name in names:
            (page if owner is None else owner).setdefault(name, []).extend(values)
    return [*top_level, page]


def _referenced_elements(document: Document, references: dict[str, Node]) -> dict[int, Node]:
    """Return the items that refer to elements by ``itemref``, by the ``mem_id`` of the first element with the id."""
    found: dict[int, Node] = {}
    if references:
        for element in document.select("[id]"):
            item = references.pop(element.attributes.get("id") or "", None)
            if item is not None:
                found[element.mem_id] = item
    return found


class _PropertyOwners:
    """Finds the item that a property belongs to. Each node of the page is visited at most once."""

    def __init__(self, items: dict[int, Node], referenced: dict[int, Node]) -> None:
        self._items = items
        self._referenced = referenced
        self._known: dict[int, Node | None] = {}

    def owner_of(self, element: LexborNode) -> Node | None:
        """Return the item of the nearest ancestor with ``itemscope``, or None.

        Between this ancestor and the property, or at the property itself, there may be an element to which another item
        refers by ``itemref``. Then the property belongs to that item.
        """
        visited = []
        node: LexborNode | None = element
        owner = None
        while node is not None:
            if node.mem_id in self._known:
                owner = self._known[node.mem_id]
                break
            visited.append(node.mem_id)
            if (owner := self._referenced.get(node.mem_id)) is not None:
                break
            node = node.parent
            if node is not None and (owner := self._items.get(node.mem_id)) is not None:
                break
        self._known.update(dict.fromkeys(visited, owner))
        return owner


def _urls(tag: str | None, attributes: dict[str, str | None]) -> list[str]:
    """Return the possible values of a property.

    A placeholder in ``src`` may stand for the images in ``srcset``, and many pages put ``content`` on any element.
    """
    value = attributes.get(_VALUE_ATTRIBUTES.get(tag or "", "content"))
    srcset = attributes.get("srcset")
    urls = [value, largest_image(srcset) if srcset else None, attributes.get("content")]
    return [url for url in dict.fromkeys(urls) if url]
