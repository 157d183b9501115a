"""Which form of an answer its caller takes: JSON or not, as gzip or not (RFC 9110, 12)."""

import functools
import gzip
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from app.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Answers of fewer bytes are not worth compressing (the threshold of CPython's own XML-RPC server).
GZIP_MIN_BYTES: Final = 1400

JSON: Final = "application/json"

_WEIGHT = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?=;|$)", re.ASCII)


def compress_response(environ: "WSGIEnvironment", response: Response) -> Response:
    """Return the response as gzip where it is large enough and the caller takes gzip."""
    if len(response.body) < GZIP_MIN_BYTES:
        return response
    vary = (*response.headers, ("Vary", "Accept-Encoding"))
    if not accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
        return msgspec.structs.replace(response, headers=vary)
    # Level 1 costs a third of the default's time and is within a tenth of its size on XML.
    packed = gzip.compress(response.body, compresslevel=1, mtime=0)
    return msgspec.structs.replace(response, body=packed, headers=(*vary, ("Content-Encoding", "gzip")))


@functools.lru_cache(256)
def accepts_gzip(accept_encoding: str) -> bool:
    """Read Accept-Encoding: gzip by its name, else by ``*``, unless refused with ``q=0``."""
    weights = _weights(accept_encoding)
    return next((weights[name] for name in ("gzip", "x-gzip", "*") if name in weights), 0.0) > 0


@functools.lru_cache(256)
def prefers_json(accept: str) -> bool:
    """Read Accept: JSON for those who name it and want no picture more.

    A browser that asks for a page or for an image never names it; who takes anything gets the picture.
    """
    weights = _weights(accept)
    picture = max((weight for name, weight in weights.items() if _is_picture(name)), default=0.0)
    return weights.get(JSON, 0.0) > 0 and weights[JSON] >= picture


def _is_picture(media_range: str) -> bool:
    return media_range == "*/*" or media_range.startswith("image/")


def _weights(accepted: str) -> Mapping[str, float]:
    """Return what a header accepts, in small letters and without parameters, each with its weight from 0 to 1."""
    weights: dict[str, float] = {}
    for offer in accepted.lower().split(","):
        name = offer.partition(";")[0].strip()
        weight = _WEIGHT.search(offer)
        weights[name] = max(weights.get(name, 0.0), float(weight[1]) if weight else 1.0)
    return weights
