"""Faults: what a caller is told when there is no answer, and the codes for what goes wrong in XML-RPC itself.

The codes are those of the "Specification for Fault Code Interoperability", version 20010516, of xmlrpc-epi, which
reserves -32768 to -32000. A reader may rely on this: whoever raises a ``Fault`` means its text for the caller.
"""

from typing import Final

PARSE_ERROR: Final = -32700  # not well-formed XML, a DTD, or past one of the reader's limits
UNSUPPORTED_ENCODING: Final = -32701
INVALID_CHARACTER: Final = -32702  # bytes that are not in the declared encoding
INVALID_REQUEST: Final = -32600  # well-formed XML, but no XML-RPC call
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603


class Fault(Exception):
    """An XML-RPC fault (interop specification 20010516): ``code`` and a ``text`` of one line, both for the caller."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"{self.text} ({self.code})"
