"""The XML-RPC dialects: how a client spells nil and 64-bit integers, which the specification does not have.

Apache's clients accept only ``ex:nil`` and ``ex:i8``, in Apache's namespace. Other clients use ``nil`` and ``i8``. A
request that declares the namespace gets a response in that dialect (https://ws.apache.org/xmlrpc/extensions.html).
"""

from dataclasses import dataclass
from typing import Final

APACHE_NAMESPACE: Final = "http://ws.apache.org/xmlrpc/namespaces/extensions"

# The limit on nested arrays and structs, for requests and responses; xmlrpc-c has the same one.
MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The ``prefix`` of the tags ``nil`` and ``i8``, and the ``declaration`` of its namespace on the root element."""

    prefix: str
    declaration: str


PLAIN: Final = Dialect(prefix="", declaration="")
APACHE: Final = Dialect(prefix="ex:", declaration=f' xmlns:ex="{APACHE_NAMESPACE}"')
