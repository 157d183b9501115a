"""Which sources there are, and which item of which source a caller means."""

from collections.abc import Iterator, Mapping

from app.config.rules import compile_regex
from app.config.source import Source
from app.domain.errors import InvalidParams
from app.domain.records import ItemId
from app.domain.url import InvalidUrl

_QUOTED = 80
MAX_ID = 2000  # characters; the longest ids there are, those of the source "page", are URLs


class SourceRegistry(Mapping[str, Source]):
    """The sources that may be used, by name; ``default`` is the name of the one that a bare id belongs to."""

    def __init__(self, sources: Mapping[str, Source], default: str) -> None:
        self._sources = {name: source for name, source in sources.items() if not source.is_disabled}
        self._off = sources.keys() - self._sources.keys()
        self._patterns = {name: compile_regex(source.id_pattern) for name, source in sources.items()}
        self.default = default

    def __getitem__(self, name: str) -> Source:
        return self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def resolve_name(self, source: object) -> str:
        """Return the name of a source that a caller gave; the default one's where that is empty.

        Raises:
            InvalidParams: it is no text, or no source of that name may be used.

        """
        if type(source) is not str:
            raise InvalidParams(f"source: expected a string, got {_kind(source)}")
        if source in self._off:
            raise InvalidParams(f"source {source} is off until it is given allowed_hosts")
        if source and source not in self._sources:
            raise InvalidParams(f"unknown source {_quote(source)}")
        return source or self.default

    def resolve(self, content_id: object, source: object = "") -> ItemId:
        """Return the item that a caller means.

        ``content_id`` is an int or a string; ``42`` and ``"42"`` are one item. A string may name its source itself, as
        in ``"caa:ID"``. ``source`` is a source's name, or empty for the default one.

        Raises:
            InvalidParams: a wrong type, a source that is not there or off, or an id that is none of its source.

        """
        if type(content_id) is int:
            text = str(content_id)
        elif type(content_id) is str:
            text = content_id
        else:
            raise InvalidParams(f"content_id: expected an int or a string, got {_kind(content_id)}")
        wanted = self.resolve_name(source) if source != "" else ""

        prefix, colon, rest = text.partition(":")
        if colon and not wanted and prefix in self._off:
            self.resolve_name(prefix)
        if wanted:
            name, own_id = wanted, rest if colon and prefix == wanted else text
        elif colon and prefix in self._sources:
            name, own_id = prefix, rest
        else:
            name, own_id = self.default, text

        if len(own_id) > MAX_ID:
            raise InvalidParams(f"{_quote(own_id)} is no id of {name}: expected at most {MAX_ID} characters")
        if not self._is_id(name, own_id):
            stray = f", and {_quote(prefix)} is no source" if colon and not wanted and own_id is text else ""
            raise InvalidParams(
                f"{_quote(own_id)} is no id of {name}{stray}: expected {self._sources[name].id_pattern}"
            )
        if {".", ".."} & set(own_id.split("/")):
            # In a path these two are no names but steps: the page asked for would be another one.
            raise InvalidParams(f"{_quote(own_id)} is no id of {name}: expected a name, not a step in a path")
        self._check_url(name, own_id)
        return ItemId(name, own_id)

    def resolve_path(self, path: str) -> ItemId:
        """Return the item that a path means: ``SOURCE/ID``, where its first part names a source, else an id as above.

        Raises:
            InvalidParams: as ``resolve`` does.

        """
        name, slash, own_id = path.partition("/")
        if slash and (name in self._sources or name in self._off):
            return self.resolve(own_id, name)
        return self.resolve(path)

    def _is_id(self, name: str, own_id: str) -> bool:
        try:
            return self._patterns[name].fullmatch(own_id.encode()) is not None  # it was compiled for bytes
        except UnicodeEncodeError:  # a lone surrogate
            return False

    def _check_url(self, name: str, own_id: str) -> None:
        """Refuse an id that stands for a host, or for the whole URL, and cannot. Raises InvalidParams."""
        if self._sources[name].id_selects_host:
            try:
                self._sources[name].page_url_for(own_id)
            except InvalidUrl as bad:
                raise InvalidParams(f"{_quote(own_id)} is no id of {name}: {bad}") from None


def _kind(value: object) -> str:
    return "nil" if value is None else type(value).__name__


def _quote(text: str) -> str:
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…")
