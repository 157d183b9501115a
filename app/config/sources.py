"""The registry of sources: resolves the ids and source names that callers send."""

from collections.abc import Iterator, Mapping

from app.config.rules import compile_regex
from app.config.source import Source
from app.domain.errors import InvalidParams
from app.domain.records import ItemId
from app.domain.url import InvalidUrl

_MAX_QUOTED = 80  # characters of a caller's text that an error message repeats
MAX_ID = 2000  # characters; the longest ids are the URLs of the source "page"


class SourceRegistry(Mapping[str, Source]):
    """The enabled sources by name. An id without a source belongs to the source named ``default``."""

    def __init__(self, sources: Mapping[str, Source], default: str) -> None:
        self._sources = {name: source for name, source in sources.items() if not source.is_disabled}
        self._disabled = sources.keys() - self._sources.keys()
        self._patterns = {name: compile_regex(source.id_pattern) for name, source in sources.items()}
        self.default = default

    def __getitem__(self, name: str) -> Source:
        return self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def resolve_name(self, source: object) -> str:
        """Return the name of an enabled source. An empty name stands for the default source.

        Raises:
            InvalidParams: ``source`` is not a string, or there is no enabled source with this name.

        """
        if type(source) is not str:
            raise InvalidParams(f"source: expected a string, got {_type_name(source)}")
        if source in self._disabled:
            raise InvalidParams(f"source {source} is off until it is given allowed_hosts")
        if source and source not in self._sources:
            raise InvalidParams(f"unknown source {_quote(source)}")
        return source or self.default

    def resolve(self, content_id: object, source: object = "") -> ItemId:
        """Return the item that an id stands for.

        ``content_id`` is an int or a string; ``42`` and ``"42"`` are the same item. A string may have its source as a
        prefix, as in ``"caa:ID"``. ``source`` is a source's name, or empty for the prefix or the default source.

        Raises:
            InvalidParams: a wrong type, an unknown or disabled source, or an id that is not valid in its source.

        """
        if type(content_id) is int:
            text = str(content_id)
        elif type(content_id) is str:
            text = content_id
        else:
            raise InvalidParams(f"content_id: expected an int or a string, got {_type_name(content_id)}")
        explicit = self.resolve_name(source) if source != "" else ""
        prefix, colon, rest = text.partition(":")
        unknown_prefix = None
        if explicit:
            item = ItemId(explicit, text.removeprefix(f"{explicit}:"))
        elif colon and (prefix in self._sources or prefix in self._disabled):
            item = ItemId(self.resolve_name(prefix), rest)
        else:
            item, unknown_prefix = ItemId(self.default, text), prefix if colon else None
        self._validate(item, unknown_prefix)
        return item

    def resolve_path(self, path: str) -> ItemId:
        """Return the item of a URL path: ``SOURCE/ID`` if the first segment is a source, else an id as in ``resolve``.

        Raises:
            InvalidParams: see ``resolve``.

        """
        name, slash, own_id = path.partition("/")
        if slash and (name in self._sources or name in self._disabled):
            return self.resolve(own_id, name)
        return self.resolve(path)

    def _validate(self, item: ItemId, unknown_prefix: str | None) -> None:
        """Raise InvalidParams if the id is not valid in its source."""
        name, own_id = item.source, item.id
        if len(own_id) > MAX_ID:
            raise InvalidParams(f"{_quote(own_id)} is no id of {name}: expected at most {MAX_ID} characters")
        if not self._matches(name, own_id):
            hint = "" if unknown_prefix is None else f", and {_quote(unknown_prefix)} is no source"
            raise InvalidParams(f"{_quote(own_id)} is no id of {name}{hint}: expected {self._sources[name].id_pattern}")
        if {".", ".."} & set(own_id.split("/")):
            # Dot segments are removed from a URL's path (RFC 3986, 5.2.4), so another page would be requested.
            raise InvalidParams(f"{_quote(own_id)} is no id of {name}: expected no . or .. between slashes")
        if self._sources[name].id_selects_host:
            try:
                self._sources[name].page_url_for(own_id)
            except InvalidUrl as error:
                raise InvalidParams(f"{_quote(own_id)} is no id of {name}: {error}") from None

    def _matches(self, name: str, own_id: str) -> bool:
        try:
            return self._patterns[name].fullmatch(own_id.encode()) is not None
        except UnicodeEncodeError:  # a lone surrogate
            return False


def _type_name(value: object) -> str:
    return "nil" if value is None else type(value).__name__


def _quote(text: str) -> str:
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…")
