"""The output formats of ``get``: the result for one id as one line of text, CSV or JSON Lines."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple


class IdResult(NamedTuple):
    """The result for one id: the URL of its cover, or the code and the text of a fault."""

    content_id: str
    url: str = ""
    fault_code: int | None = None
    fault_text: str = ""

    @property
    def is_found(self) -> bool:
        """Whether there is a cover."""
        return self.fault_code is None


def printable_line(text: str) -> str:
    """Return the text as one line that is safe to print on a terminal.

    Each run of whitespace becomes a space. Each remaining unprintable character, such as ESC, becomes U+FFFD.
    """
    return "".join(char if char.isprintable() else "\ufffd" for char in " ".join(text.split()))


def error_line(result: IdResult) -> str:
    """Return the error message for standard error, or an empty string if there is a cover."""
    if result.is_found:
        return ""
    return printable_line(f"{result.content_id}: {result.fault_text} (fault {result.fault_code})")


def _format_text(result: IdResult) -> str:
    return printable_line(result.url)


def _format_csv(result: IdResult) -> str:
    return _csv_row(result.content_id, result.url, "" if result.is_found else str(result.fault_code), result.fault_text)


def _format_jsonl(result: IdResult) -> str:
    fields: dict[str, object] = {"id": result.content_id}
    if result.is_found:
        fields["url"] = result.url
    else:
        fields["error"] = {"code": result.fault_code, "text": result.fault_text}
    return json.dumps(fields, ensure_ascii=False)


def _csv_row(*fields: str) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow([printable_line(field) for field in fields])
    return row.getvalue()


#: The values of ``--format``, each with the function that formats a result.
FORMATTERS: Mapping[str, Callable[[IdResult], str]] = {
    "text": _format_text,
    "csv": _format_csv,
    "jsonl": _format_jsonl,
}

#: The header lines, by output format. Some formats have no header line.
HEADERS: Mapping[str, str] = {"csv": _csv_row("id", "url", "code", "text")}
