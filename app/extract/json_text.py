"""JSON texts as pages contain them: parsed within limits, and repaired where the intended value is beyond doubt."""

import re
from typing import Any

import msgspec

#: The limit on JSON values per page. Without a limit, a JMESPath expression takes ten seconds on 2 MB of "[],[],[]".
MAX_VALUES = 100_000

TOO_MANY_VALUES = "JSON with too many values"
_INVALID = "not valid JSON"

_RAW_CONTROLS = re.compile(r"[\x00-\x1f]+")
#: A pair of surrogates (RFC 8259, 7), a surrogate without the other one, or an escaped backslash.
_SURROGATES = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|\\)"
)

# In the following expressions, each alternative that can be long also ends at the end of the text, and all repetitions
# are possessive. Therefore a match that has begun does not fail, and the substitutions are linear.
_STRING = r'"[^"\\]*+(?:\\(?:.|\Z)[^"\\]*+)*+(?:"|\Z)'
_LESS_THAN = r"(?:<|\\u003c)"  # app.extract.html_sanitizer escapes the character in scripts
#: What stands around JSON in scripts: comments of HTML and JavaScript, the marks of a CDATA section or of a comment
#: that contains the whole script, and semicolons. "kept" is text without any of these.
_WRAPPING = re.compile(
    rf"(?P<kept>(?:{_STRING}|[^\"/;<\\\]-]++)++)"
    rf"|(?://[ \t]*+)?(?:{_LESS_THAN}!--(?:(?:[^-{{\[<\\]|-(?!->))*+-->)?|-->)"
    rf"|(?://[ \t]*+)?(?:{_LESS_THAN}!\[CDATA\[|(?:{_LESS_THAN}!)?\]\]>)"
    r"|//[^\n\r]*+|/\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/|\Z)|;[;\s]*+",
    re.DOTALL,
)
#: A comma before another comma, before a closing bracket or at the end, and commas after an opening bracket.
_SURPLUS_COMMAS = re.compile(
    rf"(?P<kept>(?:{_STRING}|[^\",\[{{]++)++)|(?P<bracket>[\[{{])(?:\s*+,)*+|,(?=\s*+(?:[,\]}}]|\Z))", re.DOTALL
)
#: A backslash that begins no escape sequence, after a group of escaped backslashes.
_SURPLUS_BACKSLASH = re.compile(r'(?<!\\)((?:\\\\)*+)\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})')


def parse_json(text: str) -> tuple[Any, str]:
    """Return the value of a JSON text and "", or None and a short reason why the text cannot be read.

    Raw line breaks and tabs inside strings, which are common in descriptions, are read as spaces. A lone surrogate,
    such as the first half of an emoji, is read as U+FFFD. The limits are those of msgspec (less than a thousand levels,
    numbers of 64 bits, no NaN) and ``MAX_VALUES``.
    """
    if count_values(text) > MAX_VALUES:
        return None, TOO_MANY_VALUES
    text = _RAW_CONTROLS.sub(" ", text)
    value, problem = _decode(text)
    if problem == _INVALID and (repaired := _replace_lone_surrogates(text)) != text:
        return _decode(repaired)
    return value, problem


def parse_script(text: str) -> tuple[Any, str]:
    """Return the value of a script that contains JSON, as ``parse_json`` does.

    A script that is not valid JSON is read without comments, CDATA marks, semicolons and surplus commas, and without
    backslashes that begin no escape sequence.
    """
    value, problem = parse_json(text)
    if problem != _INVALID:
        return value, problem
    text = _WRAPPING.sub(lambda match: match["kept"] or " ", text)
    text = _SURPLUS_COMMAS.sub(lambda match: match["kept"] or match["bracket"] or "", text)
    return parse_json(_SURPLUS_BACKSLASH.sub(r"\1", text))


def count_values(text: str) -> int:
    """Estimate the number of values in a JSON text by its commas and opening brackets, even those inside strings."""
    return text.count(",") + text.count("[") + text.count("{")


def _decode(text: str) -> tuple[Any, str]:
    try:
        return msgspec.json.decode(text), ""
    except RecursionError:
        return None, "JSON nested too deeply"
    except msgspec.ValidationError:
        return None, "JSON with a number out of range"
    except (msgspec.DecodeError, UnicodeError):
        return None, _INVALID


def _replace_lone_surrogates(text: str) -> str:
    return _SURROGATES.sub(lambda match: match[0] if match["lone"] is None else r"\ufffd", text)
