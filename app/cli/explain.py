"""The ``explain`` command: prints what a running service knows about the cover of one id."""

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from app.cli.arguments import ExplainArguments
from app.cli.exit_status import ExitStatus
from app.cli.output_format import IdResult, error_line, printable_line
from app.cli.service_client import ServiceClient, ServiceFault

_TIME_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def explain(arguments: ExplainArguments) -> ExitStatus:
    """Print the cover record of the id, one field per line. Return SUCCESS if the record has a cover URL, else FAILURE.

    Raises:
        ServiceUnreachable: the service could not be reached.
        UsageError: the service's URL is invalid.

    """
    try:
        with ServiceClient(arguments.url).connect(arguments.source) as connection:
            record = connection.explain_cover(arguments.content_id)
    except ServiceFault as fault:
        print(error_line(IdResult(arguments.content_id, fault_code=fault.code, fault_text=fault.text)), file=sys.stderr)
        return ExitStatus.FAILURE
    for line in format_record(record, datetime.now(UTC)):
        print(line)
    return ExitStatus.SUCCESS if record.get("url") else ExitStatus.FAILURE


def format_record(record: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Yield the lines that show an ``explain_cover`` record: field names, and values that are aligned in a column.

    Empty fields are omitted. Each entry of a list has its own line. Times are shown with their distance from ``now``.
    """
    values = {str(name): _format_values(value, now) for name, value in record.items()}
    width = max((len(name) for name, texts in values.items() if texts), default=0)
    for name, texts in values.items():
        for index, text in enumerate(texts):
            yield f"{name if index == 0 else '':{width}}  {printable_line(text)}"


def _format_values(value: object, now: datetime) -> list[str]:
    if isinstance(value, list):
        return [str(entry) for entry in value]
    return [_format_value(str(value), now)] if value else []


def _format_value(text: str, now: datetime) -> str:
    """Return a timestamp such as ``2026-11-22T12:45:21Z`` with its distance from ``now``, and other texts unchanged."""
    try:
        time = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return text
    seconds = round((time - now).total_seconds())
    unit, unit_seconds = next((unit for unit in _TIME_UNITS if abs(seconds) >= unit[1]), _TIME_UNITS[-1])
    count = abs(seconds) // unit_seconds
    distance = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{time:%Y-%m-%d %H:%M:%S} UTC, {f'in {distance}' if seconds > 0 else f'{distance} ago'}"
