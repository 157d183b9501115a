"""A dialect: the words by which a caller knows what plain XML-RPC cannot say, nil and integers beyond 32 bit.

Apache's clients take ``ex:nil`` and ``ex:i8`` in Apache's namespace and nothing else; the others take ``nil`` and
``i8``. Who declares the namespace in a request is answered in it (https://ws.apache.org/xmlrpc/extensions.html).
"""

from dataclasses import dataclass
from typing import Final

APACHE_NAMESPACE: Final = "http://ws.apache.org/xmlrpc/namespaces/extensions"

# Arrays and structs within each other, read or written; xmlrpc-c's clients and servers stop at the same number.
MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """``prefix`` stands before ``nil`` and ``i8``; ``declaration`` is the attribute of the root that it needs."""

    prefix: str
    declaration: str


PLAIN: Final = Dialect(prefix="", declaration="")
APACHE: Final = Dialect(prefix="ex:", declaration=f' xmlns:ex="{APACHE_NAMESPACE}"')
