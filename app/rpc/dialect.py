"""The XML-RPC dialects: the tags for nil and 64-bit integers, which are not part of the specification.

Apache's clients accept only ``ex:nil`` and ``ex:i8`` in Apache's namespace. Other clients use ``nil`` and ``i8``. A
request that declares Apache's namespace gets a response with ``ex:nil`` and ``ex:i8``
(https://ws.apache.org/xmlrpc/extensions.html).
"""

from dataclasses import dataclass
from typing import Final

APACHE_NAMESPACE: Final = "http://ws.apache.org/xmlrpc/namespaces/extensions"

# The limit on nested arrays and structs, for requests and responses. xmlrpc-c has the same limit.
MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The ``prefix`` of the tags ``nil`` and ``i8``, and the ``declaration`` of the prefix on the root element."""

    prefix: str
    declaration: str


PLAIN: Final = Dialect(prefix="", declaration="")
APACHE: Final = Dialect(prefix="ex:", declaration=f' xmlns:ex="{APACHE_NAMESPACE}"')
