"""Content negotiation: reads Accept and Accept-Encoding with their q-values (RFC 9110, 12)."""

import functools
import gzip
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from app.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Smaller bodies are not compressed. CPython's XML-RPC server has the same threshold.
GZIP_MIN_BYTES: Final = 1400

JSON: Final = "application/json"

_Q_VALUE = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?=;|$)", re.ASCII)


def compress_response(environ: "WSGIEnvironment", response: Response) -> Response:
    """Return the response compressed with gzip if its body is large enough and the client accepts gzip."""
    if len(response.body) < GZIP_MIN_BYTES:
        return response
    headers = (*response.headers, ("Vary", "Accept-Encoding"))
    if not accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
        return msgspec.structs.replace(response, headers=headers)
    # On XML, level 1 takes a third of the time of the default level, and its output is at most a tenth larger.
    compressed = gzip.compress(response.body, compresslevel=1, mtime=0)
    return msgspec.structs.replace(response, body=compressed, headers=(*headers, ("Content-Encoding", "gzip")))


@functools.lru_cache(256)
def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header accepts gzip, by its own q-value or else by that of ``*``."""
    q_values = _parse_q_values(accept_encoding)
    return next((q_values[coding] for coding in ("gzip", "x-gzip", "*") if coding in q_values), 0.0) > 0


@functools.lru_cache(256)
def prefers_json(accept: str) -> bool:
    """Return whether an Accept header names JSON with a q-value that no image type exceeds.

    ``*/*`` counts as an image type: browsers that request a page or an image do not name JSON.
    """
    q_values = _parse_q_values(accept)
    image = max((q for media_range, q in q_values.items() if _matches_images(media_range)), default=0.0)
    return q_values.get(JSON, 0.0) > 0 and q_values[JSON] >= image


def _matches_images(media_range: str) -> bool:
    return media_range == "*/*" or media_range.startswith("image/")


def _parse_q_values(header: str) -> Mapping[str, float]:
    """Return the q-value, from 0 to 1, of each name in a header. Names are in lower case, without parameters."""
    q_values: dict[str, float] = {}
    for element in header.lower().split(","):
        name = element.partition(";")[0].strip()
        q = _Q_VALUE.search(element)
        q_values[name] = max(q_values.get(name, 0.0), float(q[1]) if q else 1.0)
    return q_values
