"""Which sources there are, and which item of which source a caller means."""

from collections.abc import Iterator, Mapping

from app.cover import ContentId
from app.errors import InvalidParams
from app.source import Source, compile_pattern

_QUOTED = 80


class Registry(Mapping[str, Source]):
    """The sources by name; ``default`` is the name of the one that a bare id belongs to."""

    def __init__(self, sources: Mapping[str, Source], default: str) -> None:
        self._sources = dict(sources)
        self._patterns = {name: compile_pattern(source.id_pattern) for name, source in sources.items()}
        self.default = default

    def __getitem__(self, name: str) -> Source:
        return self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def resolve(self, content_id: object, source: object = "") -> ContentId:
        """Return the item that a caller means.

        ``content_id`` is an int or a string; ``42`` and ``"42"`` are one item. A string may name its source itself, as
        in ``"caa:ID"``. ``source`` is a source's name, or empty for the default one.

        Raises:
            InvalidParams: a wrong type, a source that is not there, or an id that its source's pattern refuses.

        """
        if type(content_id) is int:
            text = str(content_id)
        elif type(content_id) is str:
            text = content_id
        else:
            raise InvalidParams(f"content_id: expected an int or a string, got {_kind(content_id)}")
        if type(source) is not str:
            raise InvalidParams(f"source: expected a string, got {_kind(source)}")

        prefix, colon, rest = text.partition(":")
        if source:
            if source not in self._sources:
                raise InvalidParams(f"unknown source {_quote(source)}")
            name, own_id = source, rest if colon and prefix == source else text
        elif colon and prefix in self._sources:
            name, own_id = prefix, rest
        else:
            name, own_id = self.default, text

        # Bytes, as the pattern was compiled for them; a lone surrogate becomes "?", which no sensible pattern takes.
        if self._patterns[name].fullmatch(own_id.encode("utf-8", "replace")) is None:
            stray = f", and {_quote(prefix)} is no source" if colon and not source and own_id is text else ""
            raise InvalidParams(
                f"{_quote(own_id)} is no id of {name}{stray}: expected {self._sources[name].id_pattern}"
            )
        if {".", ".."} & set(own_id.split("/")):
            # In a path these two are no names but steps: the page asked for would be another one.
            raise InvalidParams(f"{_quote(own_id)} is no id of {name}: expected a name, not a step in a path")
        return ContentId(name, own_id)


def _kind(value: object) -> str:
    return "nil" if value is None else type(value).__name__


def _quote(text: str) -> str:
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…")
