"""An explanation: the record of ``explain_cover`` as readable text."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from app.cli.output_format import one_line

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60))


def explanation(record: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Yield the lines: each field's name and value, one below the other; those that do not apply are left out."""
    fields = {str(name): _texts(value, now) for name, value in record.items()}
    width = max((len(name) for name, texts in fields.items() if texts), default=0)
    for name, texts in fields.items():
        for number, text in enumerate(texts):
            yield f"{'' if number else name:{width}}  {one_line(text)}"


def _texts(value: object, now: datetime) -> list[str]:
    if isinstance(value, list):
        return [str(entry) for entry in value]
    return [_readable(str(value), now)] if value else []


def _readable(text: str, now: datetime) -> str:
    """Return a time, such as ``2026-11-22T12:45:21Z``, as people read it; any other text as it is."""
    try:
        time = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return text
    seconds = round((time - now).total_seconds())
    unit, size = next(((unit, size) for unit, size in _UNITS if abs(seconds) >= size), ("second", 1))
    count = abs(seconds) // size
    span = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{time:%Y-%m-%d %H:%M:%S} UTC, {f'in {span}' if seconds > 0 else f'{span} ago'}"
