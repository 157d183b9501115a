"""Conditional requests: weak ETags and If-None-Match (RFC 9110, 13)."""

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_ENTITY_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def weak_etag(content: bytes) -> str:
    """Return a weak ETag of this content (RFC 9110, 8.8.3). It is the same for every content coding, such as gzip."""
    return f'W/"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


def is_not_modified(environ: "WSGIEnvironment", etag: str) -> bool:
    """Return whether If-None-Match lists this ETag, by weak comparison, or is ``*`` (RFC 9110, 13.1.2)."""
    if_none_match = environ.get("HTTP_IF_NONE_MATCH", "").strip()
    return if_none_match == "*" or etag.removeprefix("W/") in _ENTITY_TAG.findall(if_none_match)
