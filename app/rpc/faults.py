"""XML-RPC faults, and the fault codes of protocol errors.

The codes are those of the "Specification for Fault Code Interoperability", version 20010516, of xmlrpc-epi, which
reserves -32768 to -32000.
"""

from typing import Final

PARSE_ERROR: Final = -32700  # not well-formed XML, a DTD, or over one of the parser's limits
UNSUPPORTED_ENCODING: Final = -32701
INVALID_CHARACTER: Final = -32702  # bytes that are invalid in the declared encoding
INVALID_REQUEST: Final = -32600  # well-formed XML that is not an XML-RPC call
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603


class Fault(Exception):
    """An XML-RPC fault. The client receives its ``code`` and ``text``; the text is one line and has no secrets."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"{self.text} ({self.code})"
