"""An answer's validator: by it, whoever has the answer already is told that it has not changed (RFC 9110, 8.8.3)."""

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def weak_etag(content: bytes) -> str:
    """Return an ETag that stands for this content, however it is encoded on its way."""
    return f'W/"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


def is_not_modified(environ: "WSGIEnvironment", etag: str) -> bool:
    """Tell whether the caller has the answer of this ETag, by If-None-Match (RFC 9110, 13.1.2: compared weakly)."""
    known = environ.get("HTTP_IF_NONE_MATCH", "").strip()
    return known == "*" or etag.removeprefix("W/") in _TAG.findall(known)
