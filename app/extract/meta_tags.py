"""``<meta>`` elements: the contents of ``og:image``, ``twitter:image`` and other names."""

from collections.abc import Iterator

from app.extract.document import Document

#: Names that stand for the same image, the best first. Open Graph: https://ogp.me/#structured.
_ALIASES = {
    "og:image": ("og:image:secure_url", "og:image:url", "og:image"),
    "twitter:image": ("twitter:image:src", "twitter:image"),
}


def find_meta_contents(document: Document, name: str) -> Iterator[str]:
    """Return the contents of all ``<meta>`` elements whose ``property``, ``name`` or ``itemprop`` is ``name``.

    Names are case-insensitive. ``og:image`` and ``twitter:image`` include their aliases.

    Raises:
        UnreadablePage: the page cannot be parsed.

    """
    contents: dict[str, list[str]] = {}
    for element in document.select("meta[content]"):
        attributes = element.attributes
        for attribute in ("property", "name", "itemprop"):
            key = (attributes.get(attribute) or "").strip().lower()
            contents.setdefault(key, []).append(attributes["content"] or "")
    name = name.strip().lower()
    for alias in _ALIASES.get(name, (name,)):
        yield from filter(None, contents.get(alias, ()))
