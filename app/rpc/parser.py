"""The parser: turns the bytes of a request into a ``MethodCall``, or raises ``Fault``.

``xmlrpc.client.Unmarshaller`` builds the values. It does not validate its input, so it is fed by an expat parser whose
handlers follow the grammar of a call (``app.rpc.grammar``). Guarantees of this module:

- It raises no exception but ``Fault``, and its run time is linear in the size of the body.
- expat is given UTF-8 only; a body in another encoding is transcoded first. Encoding names from a request are never
  looked up in Python's codec registry, which caches unknown names without a limit.
- A DOCTYPE is an error. An exception in a handler stops expat at once, so no entity is ever declared.
- Values are parsed strictly by the specification (http://xmlrpc.com/spec.md); a value without a type is a string. The
  extensions nil, i1, i2, i8 and float are accepted without a namespace and in Apache's.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NoReturn, cast
from xml.parsers import expat
from xmlrpc.client import Unmarshaller

import msgspec

from app.rpc.dialect import APACHE, APACHE_NAMESPACE, MAX_DEPTH, PLAIN, Dialect
from app.rpc.faults import INVALID_CHARACTER, INVALID_REQUEST, PARSE_ERROR, UNSUPPORTED_ENCODING, Fault
from app.rpc.grammar import DOCUMENT, GrammarState

MAX_TAGS: Final = 100_000  # "<" in a body: a multicall of 1,000 entries has about 30,000
MAX_ATTRIBUTES: Final = 10_000  # attributes in a body, or text that looks like one
MAX_TEXT: Final = 1 << 20  # characters of one string, or between two tags

# The encoding names of Content-Type and XML declarations that are accepted, each with Python's codec.
_CODECS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "iso8859-1": "latin-1",
    "iso_8859-1": "latin-1",
    "latin-1": "latin-1",
    "latin1": "latin-1",
    "utf-16": "utf-16",
}
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")

# Open tags when the innermost array or struct starts: methodCall, params, param, value and the array or struct itself,
# and three for each level around it (value, array, data; or value, struct, member).
_MAX_OPEN_TAGS: Final = 3 * MAX_DEPTH + 2

_find_attributes: Final = re.compile(rb"""=[ \t\r\n]*["']""").findall


class MethodCall(msgspec.Struct, frozen=True):
    """A parsed request: the method's name, its parameters, and the dialect of the response."""

    method: str
    params: tuple[Any, ...]
    dialect: Dialect = PLAIN


def parse_call(body: bytes, *, charset: str | None = None) -> MethodCall:
    """Parse ``body``. ``charset`` is the parameter of the Content-Type, or None if it has none.

    The encoding is the first one that is given by ``charset``, a byte order mark or the XML declaration, otherwise
    UTF-8. Raises ``Fault``: -32700 if the body is not well-formed or is over a limit, -32701 or -32702 for encoding
    errors, -32600 for XML that is not an XML-RPC call.
    """
    codec = _codec_of_bom(body) if charset is None else _find_codec(charset)
    try:
        return _parse(body, None) if codec is None else _parse(_to_utf8(body, codec), codec)
    except _OtherEncodingDeclared as declaration:
        return _parse(_to_utf8(body, declaration.codec), declaration.codec)


def _parse(body: bytes, codec: str | None) -> MethodCall:
    """Parse a body in UTF-8. ``codec`` is its original encoding, or None if only the XML declaration may name one."""
    if len(body) > MAX_ATTRIBUTES:
        _check_counts(body)
    if 0 in body[:2]:  # expat would take the body for UTF-16
        raise Fault(PARSE_ERROR, "NUL at the start; UTF-16 is accepted only with a byte order mark")
    unmarshaller = Unmarshaller(use_builtin_types=True)
    text: list[str] = []
    declarations = _Declarations(codec)
    parser = expat.ParserCreate("utf-8", " ")  # expat reports a tag in a namespace as "namespace tag"
    parser.buffer_text = True
    parser.ordered_attributes = True  # attributes are not used, and a list is cheaper than a dict
    parser.StartElementHandler, parser.EndElementHandler = _element_handlers(unmarshaller, text)
    parser.CharacterDataHandler = text.append if len(body) <= MAX_TEXT else _limited_append(text)
    parser.StartNamespaceDeclHandler = declarations.on_namespace
    parser.StartDoctypeDeclHandler = declarations.on_doctype
    if b"encoding" in body:  # most bodies declare none, and this test is cheaper than a handler call
        parser.XmlDeclHandler = declarations.on_xml_declaration
    try:
        parser.Parse(body, True)  # noqa: FBT003 - the parameter has no name
    except Fault as fault:
        if fault.code == INVALID_REQUEST:  # this code is for well-formed XML, so the rest has to be checked
            _check_well_formed(body, declarations)
        raise
    except expat.ExpatError as error:
        raise _not_well_formed(error, body, declarations) from None
    _discard_white_space(text)
    method, *params = unmarshaller.close()  # the method's name is the first leaf of a call
    return MethodCall(cast("str", method), tuple(params), declarations.dialect)


def _check_counts(body: bytes) -> None:
    """Raise ``Fault`` for more tags or attributes than a call needs. It takes a thousandth of the time of parsing."""
    if body.count(b"<") > MAX_TAGS:
        raise Fault(PARSE_ERROR, f"more than {MAX_TAGS} tags")
    if len(_find_attributes(body)) > MAX_ATTRIBUTES:
        raise Fault(PARSE_ERROR, f"more than {MAX_ATTRIBUTES} attributes")


def _check_well_formed(body: bytes, declarations: "_Declarations") -> None:
    """Raise ``Fault`` if the body is not well-formed. A DOCTYPE is refused before this is called."""
    try:
        expat.ParserCreate("utf-8", " ").Parse(body, True)  # noqa: FBT003 - as above
    except expat.ExpatError as error:
        raise _not_well_formed(error, body, declarations) from None


def _not_well_formed(error: expat.ExpatError, body: bytes, declarations: "_Declarations") -> Fault:
    if declarations.codec is not None:
        _to_utf8(body, "utf-8")  # raises the more precise fault if bytes are invalid in the declared encoding
    return Fault(PARSE_ERROR, f"not well-formed: {error}")


def _element_handlers(
    unmarshaller: Unmarshaller, text: list[str]
) -> tuple[Callable[[str, list[str]], None], Callable[[str], None]]:
    """Return the handlers of start and end tags, which run the automaton of ``app.rpc.grammar``.

    ``text`` is the list to which the parser appends character data. The handlers are closures because they run for
    every tag: with bound methods a plain call takes a sixth longer.
    """
    state = DOCUMENT
    states_after: list[GrammarState] = []  # for each open element, the state after its end tag
    append_value = unmarshaller.append

    def on_start(tag: str, _attributes: list[str]) -> None:
        nonlocal state
        try:
            state, state_after = state.transitions[tag]
        except KeyError:
            raise Fault(INVALID_REQUEST, f"<{tag:.64}> is not allowed in {state.name} at this point") from None
        states_after.append(state_after)
        if state.parse_text is not None:
            if text:
                _discard_white_space(text)
        elif state.is_container:
            if len(states_after) > _MAX_OPEN_TAGS:
                raise Fault(PARSE_ERROR, f"nested deeper than {MAX_DEPTH}")
            unmarshaller.start("array", {})  # the same for a struct: it marks where the items start

    def on_end(_tag: str) -> None:
        nonlocal state
        parse_text = state.parse_text
        if parse_text is not None:
            append_value(parse_text("".join(text)))
            text.clear()
        elif state.on_close is not None:
            state.on_close(unmarshaller)
        state = states_after.pop()

    return on_start, on_end


def _discard_white_space(text: list[str]) -> None:
    """Clear the text since the last leaf. Raises ``Fault`` if it is more than XML white space."""
    if "".join(text).strip(" \t\r\n"):
        raise Fault(INVALID_REQUEST, "text between elements")
    text.clear()


def _limited_append(text: list[str]) -> Callable[[str], None]:
    """Return a handler that appends to ``text`` and raises ``Fault`` at more than ``MAX_TEXT`` characters."""

    def on_text(piece: str) -> None:
        text.append(piece)
        if sum(map(len, text)) > MAX_TEXT:
            raise Fault(PARSE_ERROR, f"a text of more than {MAX_TEXT} characters")

    return on_text


class _Declarations:
    """The handlers of the XML, DOCTYPE and namespace declarations, and what was declared."""

    __slots__ = ("codec", "dialect")

    def __init__(self, codec: str | None) -> None:
        self.codec = codec
        self.dialect = PLAIN

    def on_xml_declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is None or self.codec is not None:
            return
        self.codec = _find_codec(encoding)
        if self.codec == "utf-16":
            raise Fault(INVALID_CHARACTER, "declared as UTF-16, but not encoded in UTF-16")
        if self.codec != "utf-8":
            raise _OtherEncodingDeclared(self.codec)

    def on_doctype(self, *_: object) -> NoReturn:
        raise Fault(PARSE_ERROR, "a DOCTYPE is not allowed")

    def on_namespace(self, _prefix: str | None, uri: str | None) -> None:
        if uri == APACHE_NAMESPACE:
            self.dialect = APACHE


class _OtherEncodingDeclared(Exception):
    """The XML declaration names an encoding other than UTF-8."""

    def __init__(self, codec: str) -> None:
        self.codec = codec


def _find_codec(encoding: str) -> str:
    codec = _CODECS.get(encoding.lower())
    if codec is None:
        raise Fault(UNSUPPORTED_ENCODING, f"the encoding {encoding:.64} is not supported")
    return codec


def _codec_of_bom(body: bytes) -> str | None:
    """Return the codec that a byte order mark indicates, or None if there is none."""
    if body.startswith(_UTF8_BOM):
        return "utf-8"
    return "utf-16" if body.startswith(_UTF16_BOMS) else None


def _to_utf8(body: bytes, codec: str) -> bytes:
    """Transcode the body to UTF-8 without a byte order mark.

    Raises ``Fault`` -32702 for bytes that are invalid in ``codec``, and -32701 for UTF-16 without a byte order mark.
    """
    if codec == "utf-16" and not body.startswith(_UTF16_BOMS):
        raise Fault(UNSUPPORTED_ENCODING, "UTF-16 is accepted only with a byte order mark")
    try:
        return body.decode(codec).encode().removeprefix(_UTF8_BOM)
    except UnicodeDecodeError as error:
        raise Fault(INVALID_CHARACTER, f"not {codec}: {error.reason} at byte {error.start}") from None
