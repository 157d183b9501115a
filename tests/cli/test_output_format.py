"""Answers in each format."""

import csv
import json

import pytest

from app.cli.output_format import FORMATTERS, HEADERS, IdResult, error_line

FOUND = IdResult("shop:42", "https://shop.example/42.jpg")
MISSED = IdResult("43", code=404, text='no such item: "43", they\nsay')


@pytest.mark.parametrize(
    ("form", "found", "missed"),
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
def test_an_answer_is_one_line(form: str, found: str, missed: str) -> None:
    assert (FORMATTERS[form](FOUND), FORMATTERS[form](MISSED)) == (found, missed)


def test_a_complaint_names_the_id_and_the_fault() -> None:
    assert error_line(FOUND) == ""
    assert error_line(MISSED) == '43: no such item: "43", they say (fault 404)'


@pytest.mark.parametrize("content_id", ["a,b", 'say "a"', "строка", "a\u2028b", "a\x1b[2Jb"])
def test_any_id_is_read_back_from_its_line(content_id: str) -> None:
    """But for control characters in CSV."""
    answer = IdResult(content_id, "https://shop.example/")
    assert json.loads(FORMATTERS["jsonl"](answer))["id"] == content_id
    (row,) = csv.DictReader([HEADERS["csv"], FORMATTERS["csv"](answer)])
    assert row["id"] == content_id.replace("\x1b", "\ufffd").replace("\u2028", " ")
    assert row["url"] == "https://shop.example/"
