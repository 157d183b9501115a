"""The arguments of the command line."""

import pytest

from app.cli.arguments import Check, Explain, Get, parse

URL = "http://127.0.0.1:8080/RPC2"


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("get 42", Get(("42",), URL, "", "text", 8)),
        ("get 42 shop:43 42", Get(("42", "shop:43", "42"), URL, "", "text", 8)),
        ("get -", Get((), URL, "", "text", 8)),
        ("get -5", Get(("-5",), URL, "", "text", 8)),
        ("get --url U --source shop --format csv --jobs 1000 42", Get(("42",), "U", "shop", "csv", 1000)),
        ("get 42 --format jsonl --jobs 1", Get(("42",), URL, "", "jsonl", 1)),
        ("explain 42", Explain("42", URL, "")),
        ("explain --url U --source shop 42", Explain("42", "U", "shop")),
        ("check", Check(())),
        ("check shop caa", Check(("shop", "caa"))),
    ],
)
def test_each_command_is_read(line: str, command: Get | Explain | Check) -> None:
    assert parse(line.split()) == command


def test_blanks_around_an_id_are_no_part_of_it() -> None:
    assert parse(["get", " 42\n", "\t43"]) == Get(("42", "43"), URL, "", "text", 8)
    assert parse(["explain", " 42\n"]) == Explain("42", URL, "")


def test_an_id_is_utf_8_whatever_the_environment_says() -> None:
    """Python hands on bytes that it could not read as surrogates."""
    assert parse(["explain", "\udcc3\udcbc \udcff"]) == Explain("ü \ufffd", URL, "")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "get       ask a running service for the covers of ids"),
        ("nosuch", "invalid choice: 'nosuch'"),
        ("get", "the following arguments are required: ID"),
        ("get 1 -", "- reads all ids from standard input"),
        ("get --jobs 0 1", "--jobs: expected a number from 1 to 1000, got '0'"),
        ("get --jobs 1001 1", "--jobs: expected a number from 1 to 1000, got '1001'"),
        ("get --jobs many 1", "--jobs: expected a number from 1 to 1000, got 'many'"),
        ("get --format xml 1", "--format: invalid choice: 'xml'"),
        ("explain", "the following arguments are required: ID"),
        ("explain 1 2", "unrecognized arguments: 2"),
    ],
)
def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str], line: str, complaint: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(line.split())
    told = capsys.readouterr()
    assert (caught.value.code, told.out) == (2, "")
    assert complaint in told.err


@pytest.mark.parametrize(("line", "text"), [("--help", "check     fetch each"), ("--version", "covers 0.1.0\n")])
def test_what_is_asked_for_is_told(capsys: pytest.CaptureFixture[str], line: str, text: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(line.split())
    told = capsys.readouterr()
    assert (caught.value.code, told.err) == (0, "")
    assert text in told.out
