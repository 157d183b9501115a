"""The wire: all that the rest of the house needs of the XML in XML-RPC, and nothing that touches a socket.

``read_call`` turns the bytes of a request into a ``Call`` (``app.rpc.reader``); ``write_value`` and ``write_fault``
turn what came of it into the bytes of an answer (``app.rpc.writer``), in the ``Dialect`` that the call was made in.
"""

from app.rpc.dialect import APACHE, MAX_DEPTH, PLAIN, Dialect
from app.rpc.reader import MAX_TAGS, MAX_TEXT, Call, read_call
from app.rpc.writer import write_fault, write_value

__all__ = [
    "APACHE",
    "MAX_DEPTH",
    "MAX_TAGS",
    "MAX_TEXT",
    "PLAIN",
    "Call",
    "Dialect",
    "read_call",
    "write_fault",
    "write_value",
]
