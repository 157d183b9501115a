"""An answer, as it is printed: what came back for one id, in one line of each format."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple


class IdResult(NamedTuple):
    """What came back for one id: the cover's URL, or a fault's code and text where there is none."""

    content_id: str
    url: str = ""
    code: int | None = None
    text: str = ""

    @property
    def is_found(self) -> bool:
        """Whether there is a cover."""
        return self.code is None


def one_line(text: str) -> str:
    """Return the text as it may stand in a line and on a terminal: without line ends and control characters."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split()))


def error_line(answer: IdResult) -> str:
    """Return why there is no cover, as it stands on standard error; empty where there is one."""
    return "" if answer.is_found else one_line(f"{answer.content_id}: {answer.text} (fault {answer.code})")


def _text(answer: IdResult) -> str:
    return one_line(answer.url)


def _csv(answer: IdResult) -> str:
    return _row(answer.content_id, answer.url, "" if answer.is_found else str(answer.code), answer.text)


def _jsonl(answer: IdResult) -> str:
    told: dict[str, object] = {"id": answer.content_id}
    if answer.is_found:
        told["url"] = answer.url
    else:
        told["error"] = {"code": answer.code, "text": answer.text}
    return json.dumps(told, ensure_ascii=False)


def _row(*fields: str) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow([one_line(field) for field in fields])
    return row.getvalue()


#: For each format the line that an answer is.
FORMATTERS: Mapping[str, Callable[[IdResult], str]] = {"text": _text, "csv": _csv, "jsonl": _jsonl}

#: The line before them, for formats that have one.
HEADERS: Mapping[str, str] = {"csv": _row("id", "url", "code", "text")}
