"""Results in each output format."""

import csv
import json

import pytest

from app.cli.output_format import FORMATTERS, HEADERS, IdResult, error_line

FOUND = IdResult("shop:42", "https://shop.example/42.jpg")
MISSING = IdResult("43", fault_code=404, fault_text='no such item: "43", they\nsay')


@pytest.mark.parametrize(
    ("output_format", "found", "missing"),
    [
        ("text", "https://shop.example/42.jpg", ""),
        ("csv", "shop:42,https://shop.example/42.jpg,,", '43,,404,"no such item: ""43"", they say"'),
        (
            "jsonl",
            '{"id": "shop:42", "url": "https://shop.example/42.jpg"}',
            '{"id": "43", "error": {"code": 404, "text": "no such item: \\"43\\", they\\nsay"}}',
        ),
    ],
)
def test_a_result_is_one_line(output_format: str, found: str, missing: str) -> None:
    assert (FORMATTERS[output_format](FOUND), FORMATTERS[output_format](MISSING)) == (found, missing)


def test_an_error_line_has_the_id_and_the_fault() -> None:
    assert error_line(FOUND) == ""
    assert error_line(MISSING) == '43: no such item: "43", they say (fault 404)'


@pytest.mark.parametrize("content_id", ["a,b", 'say "a"', "строка", "a\u2028b", "a\x1b[2Jb"])
def test_any_id_round_trips(content_id: str) -> None:
    """In CSV, control characters are replaced."""
    result = IdResult(content_id, "https://shop.example/")
    assert json.loads(FORMATTERS["jsonl"](result))["id"] == content_id
    (row,) = csv.DictReader([HEADERS["csv"], FORMATTERS["csv"](result)])
    assert row["id"] == content_id.replace("\x1b", "\ufffd").replace("\u2028", " ")
    assert row["url"] == "https://shop.example/"
