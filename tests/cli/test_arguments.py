"""Parsing of the command-line arguments."""

import pytest

from app.cli.arguments import CheckArguments, ExplainArguments, GetArguments, parse_arguments

URL = "http://127.0.0.1:8080/RPC2"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("get 42", GetArguments(("42",), URL, "", "text", 8)),
        ("get 42 shop:43 42", GetArguments(("42", "shop:43", "42"), URL, "", "text", 8)),
        ("get -", GetArguments((), URL, "", "text", 8)),
        ("get -5", GetArguments(("-5",), URL, "", "text", 8)),
        ("get --url U --source shop --format csv --jobs 1000 42", GetArguments(("42",), "U", "shop", "csv", 1000)),
        ("get 42 --format jsonl --jobs 1", GetArguments(("42",), URL, "", "jsonl", 1)),
        ("explain 42", ExplainArguments("42", URL, "")),
        ("explain --url U --source shop 42", ExplainArguments("42", "U", "shop")),
        ("check", CheckArguments(())),
        ("check shop caa", CheckArguments(("shop", "caa"))),
    ],
)
def test_each_command_is_parsed(line: str, expected: GetArguments | ExplainArguments | CheckArguments) -> None:
    assert parse_arguments(line.split()) == expected


def test_whitespace_around_an_id_is_stripped() -> None:
    assert parse_arguments(["get", " 42\n", "\t43"]) == GetArguments(("42", "43"), URL, "", "text", 8)
    assert parse_arguments(["explain", " 42\n"]) == ExplainArguments("42", URL, "")


def test_an_id_is_decoded_as_utf_8_in_any_locale() -> None:
    """Python passes undecodable bytes as surrogates (PEP 383)."""
    assert parse_arguments(["explain", "\udcc3\udcbc \udcff"]) == ExplainArguments("ü \ufffd", URL, "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "get       ask a running service for the covers of ids"),
        ("nosuch", "invalid choice: 'nosuch'"),
        ("get", "the following arguments are required: ID"),
        ("get 1 -", '"-" reads all ids from standard input'),
        ("get --jobs 0 1", "--jobs: expected a number from 1 to 1000, got '0'"),
        ("get --jobs 1001 1", "--jobs: expected a number from 1 to 1000, got '1001'"),
        ("get --jobs many 1", "--jobs: expected a number from 1 to 1000, got 'many'"),
        ("get --format xml 1", "--format: invalid choice: 'xml'"),
        ("explain", "the following arguments are required: ID"),
        ("explain 1 2", "unrecognized arguments: 2"),
    ],
)
def test_wrong_usage_is_reported(capsys: pytest.CaptureFixture[str], line: str, message: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(line.split())
    captured = capsys.readouterr()
    assert (caught.value.code, captured.out) == (2, "")
    assert message in captured.err


@pytest.mark.parametrize(("line", "text"), [("--help", "check     fetch each"), ("--version", "covers 0.1.0\n")])
def test_help_and_version_are_printed(capsys: pytest.CaptureFixture[str], line: str, text: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(line.split())
    captured = capsys.readouterr()
    assert (caught.value.code, captured.err) == (0, "")
    assert text in captured.out
