"""Content negotiation by Accept and Accept-Encoding, including their q-values (RFC 9110, 12)."""

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
    """Return the response, compressed with gzip if the body is large enough and the client accepts gzip."""
    if len(response.body) < GZIP_MIN_BYTES:
        return response
    headers = (*response.headers, ("Vary", "Accept-Encoding"))
    if not accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
        return msgspec.structs.replace(response, headers=headers)
    # For XML, level 1 takes a third of the time of the default level, and the output is at most a tenth larger.
    compressed = gzip.compress(response.body, compresslevel=1, mtime=0)
    return msgspec.structs.replace(response, body=compressed, headers=(*headers, ("Content-Encoding", "gzip")))


@functools.lru_cache(256)
def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header accepts gzip. If gzip is not listed, the q-value of ``*`` counts."""
    q_values = _parse_q_values(accept_encoding)
    return next((q_values[coding] for coding in ("gzip", "x-gzip", "*") if coding in q_values), 0.0) > 0


@functools.lru_cache(256)
def prefers_json(accept: str) -> bool:
    """Return whether an Accept header names JSON, with a q-value at least as high as that of every image type.

    ``*/*`` counts as an image type. Browsers do not name JSON when they request a page or an image.
    """
    q_values = _parse_q_values(accept)
    image_q = max((q for media_range, q in q_values.items() if _matches_images(media_range)), default=0.0)
    return q_values.get(JSON, 0.0) > 0 and q_values[JSON] >= image_q


def _matches_images(media_range: str) -> bool:
    return media_range == "*/*" or media_range.startswith("image/")


def _parse_q_values(header: str) -> Mapping[str, float]:
    """Return the q-values (0 to 1) of the media ranges or codings in a header, by name in lower case."""
    q_values: dict[str, float] = {}
    for element in header.lower().split(","):
        name = element.partition(";")[0].strip()
        q = _Q_VALUE.search(element)
        q_values[name] = max(q_values.get(name, 0.0), float(q[1]) if q else 1.0)
    return q_values
