"""The reader: the bytes of a request become a ``Call``, or a ``Fault`` says why not.

``xmlrpc.client.Unmarshaller`` builds the values. Left alone it believes everybody, so it is fed by an expat parser
whose handlers know the grammar of a call and let nothing else through. What a reader of this module may rely on:

- Only a ``Fault`` is ever raised, and the time taken is linear in the size of the body.
- expat reads UTF-8 and nothing else; another encoding is recoded first. A name that a stranger chose never reaches the
  codec registry, whose cache of unknown names grows for ever.
- A DOCTYPE ends it. An exception in a handler stops expat at once, so no entity is ever declared.
- A value is what the specification (http://xmlrpc.com/spec.md) says, strictly; an untyped one is a string. On top of it
  come nil, i1, i2, i8 and float, plain or in Apache's namespace.
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
MAX_ATTRIBUTES: Final = 10_000  # in a body that could have more, or what looks like them in its texts
MAX_TEXT: Final = 1 << 20  # characters of one string, or between two tags

# What may be said by a Content-Type, a byte order mark or an XML declaration, and Python's name for it.
CODECS: Final = {
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
UTF8_MARK: Final = b"\xef\xbb\xbf"
UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")

# Tags open when the innermost array or struct opens: methodCall, params, param, value and itself, and three a level
# (value, array, data or value, struct, member) around it.
DEEPEST: Final = 3 * MAX_DEPTH + 2


_attributes: Final = re.compile(rb"""=[ \t\r\n]*["']""").findall


class MethodCall(msgspec.Struct, frozen=True):
    """A request as it was read: the method's name, its parameters, and the dialect to answer in."""

    method: str
    params: tuple[Any, ...]
    dialect: Dialect = PLAIN


def parse_call(body: bytes, *, charset: str | None = None) -> MethodCall:
    """Return the call that ``body`` holds; ``charset`` is the parameter of the Content-Type, None where it has none.

    The encoding is that of the charset, else of the byte order mark, else of the XML declaration, else UTF-8: the first
    that speaks is believed. Raises ``Fault``: -32700 for what is not well-formed or past a limit, -32701 and -32702 for
    the encoding, -32600 for XML that is no XML-RPC call.
    """
    codec = _marked(body) if charset is None else _codec(charset)
    try:
        return _parse(body, None) if codec is None else _parse(_as_utf8(body, codec), codec)
    except _Redeclared as declaration:
        return _parse(_as_utf8(body, declaration.codec), declaration.codec)


def _parse(body: bytes, codec: str | None) -> MethodCall:
    if len(body) > MAX_ATTRIBUTES:
        _count(body)
    if 0 in body[:2]:  # expat would take it for UTF-16
        raise Fault(PARSE_ERROR, "a NUL at the start; UTF-16 is read with a byte order mark only")
    values = Unmarshaller(use_builtin_types=True)
    text: list[str] = []
    preamble = _Preamble(codec)
    parser = expat.ParserCreate("utf-8", " ")  # a tag in a namespace is "namespace name"
    parser.buffer_text = True
    parser.ordered_attributes = True  # a list is cheaper than a dict, and neither is looked at
    parser.StartElementHandler, parser.EndElementHandler = _tag_handlers(values, text)
    parser.CharacterDataHandler = text.append if len(body) <= MAX_TEXT else _counted(text)
    parser.StartNamespaceDeclHandler = preamble.namespace
    parser.StartDoctypeDeclHandler = preamble.doctype
    if b"encoding" in body:  # most have none, and to look is cheaper than to be told of every declaration
        parser.XmlDeclHandler = preamble.declaration
    try:
        parser.Parse(body, True)  # noqa: FBT003 - the parameter has no name
    except Fault as fault:
        if fault.code == INVALID_REQUEST:  # said of well-formed XML only, so the rest of it is looked at too
            _check(body, preamble)
        raise
    except expat.ExpatError as error:
        raise _not_well_formed(error, body, preamble) from None
    _drop_blanks(text)
    method, *params = values.close()  # its name is the first text of a call
    return MethodCall(cast("str", method), tuple(params), preamble.dialect)


def _count(body: bytes) -> None:
    """Raise ``Fault`` for more tags or attributes than a call can need, in a thousandth of the time of reading them."""
    if body.count(b"<") > MAX_TAGS:
        raise Fault(PARSE_ERROR, f"more than {MAX_TAGS} tags")
    if len(_attributes(body)) > MAX_ATTRIBUTES:
        raise Fault(PARSE_ERROR, f"more than {MAX_ATTRIBUTES} attributes")


def _check(body: bytes, preamble: "_Preamble") -> None:
    """Raise ``Fault`` if the body is not well-formed. It has no DOCTYPE: that would have been met before."""
    try:
        expat.ParserCreate("utf-8", " ").Parse(body, True)  # noqa: FBT003 - as above
    except expat.ExpatError as error:
        raise _not_well_formed(error, body, preamble) from None


def _not_well_formed(error: expat.ExpatError, body: bytes, preamble: "_Preamble") -> Fault:
    if preamble.codec is not None:
        _as_utf8(body, "utf-8")  # raises the fault that says more, where the bytes are not what they were said to be
    return Fault(PARSE_ERROR, f"not well-formed: {error}")


def _tag_handlers(
    values: Unmarshaller, text: list[str]
) -> tuple[Callable[[str, list[str]], None], Callable[[str], None]]:
    """Return what is done at a start tag and at an end tag: steps over the places of the grammar.

    Closures, because every tag passes here: bound methods make a plain call a sixth slower.
    """
    place = DOCUMENT
    places_after: list[GrammarState] = []  # of each open element, the place to be in once it has closed
    keep = values.append

    def start(tag: str, _attributes: list[str]) -> None:
        nonlocal place
        try:
            place, after = place.opens[tag]
        except KeyError:
            raise Fault(INVALID_REQUEST, f"no <{_shown(tag)}> may stand in {place.name} at this point") from None
        places_after.append(after)
        if place.read is not None:
            if text:
                _drop_blanks(text)
        elif place.nests:
            if len(places_after) > DEEPEST:
                raise Fault(PARSE_ERROR, f"nested deeper than {MAX_DEPTH}")
            values.start("array", {})

    def end(_tag: str) -> None:
        nonlocal place
        read = place.read
        if read is not None:
            keep(read("".join(text)))
            text.clear()
        elif place.done is not None:
            place.done(values)
        place = places_after.pop()

    return start, end


def _drop_blanks(text: list[str]) -> None:
    """Drop the text met since the last leaf, which is to be white space as XML knows it."""
    if "".join(text).strip(" \t\r\n"):
        raise Fault(INVALID_REQUEST, "text between the elements")
    text.clear()


def _counted(text: list[str]) -> Callable[[str], None]:
    """Return what takes in a piece of text where the body is long enough for too many of them."""

    def take(piece: str) -> None:
        text.append(piece)
        if sum(map(len, text)) > MAX_TEXT:
            raise Fault(PARSE_ERROR, f"a text of more than {MAX_TEXT} characters")

    return take


class _Preamble:
    """What is said in front of the values: the encoding, a DOCTYPE, a namespace."""

    __slots__ = ("codec", "dialect")

    def __init__(self, codec: str | None) -> None:
        self.codec = codec
        self.dialect = PLAIN

    def declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is None or self.codec is not None:
            return
        self.codec = _codec(encoding)
        if self.codec == "utf-16":
            raise Fault(INVALID_CHARACTER, "declared as UTF-16, but of single bytes")
        if self.codec != "utf-8":
            raise _Redeclared(self.codec)

    def doctype(self, *_: object) -> NoReturn:
        raise Fault(PARSE_ERROR, "a DOCTYPE is refused")

    def namespace(self, _prefix: str | None, uri: str | None) -> None:
        if uri == APACHE_NAMESPACE:
            self.dialect = APACHE


class _Redeclared(Exception):
    """The XML declaration names another encoding than UTF-8."""

    def __init__(self, codec: str) -> None:
        self.codec = codec


def _codec(name: str) -> str:
    codec = CODECS.get(name.lower())
    if codec is None:
        raise Fault(UNSUPPORTED_ENCODING, f"the encoding {_shown(name)} is not supported")
    return codec


def _marked(body: bytes) -> str | None:
    """Return the encoding that a byte order mark tells."""
    if body.startswith(UTF8_MARK):
        return "utf-8"
    return "utf-16" if body.startswith(UTF16_MARKS) else None


def _as_utf8(body: bytes, codec: str) -> bytes:
    """Return the body in UTF-8 without a mark. Raises ``Fault`` -32702 if it is not in the encoding it claims."""
    if codec == "utf-16" and not body.startswith(UTF16_MARKS):
        raise Fault(UNSUPPORTED_ENCODING, "UTF-16 is read with a byte order mark only")
    try:
        return body.decode(codec).encode().removeprefix(UTF8_MARK)
    except UnicodeDecodeError as error:
        raise Fault(INVALID_CHARACTER, f"not {codec}: {error.reason} at byte {error.start}") from None


def _shown(name: str) -> str:
    return f"{name:.64}"
