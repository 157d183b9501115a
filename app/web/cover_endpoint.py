"""Covers over plain HTTP: GET /cover/SOURCE/ID and GET /cover/ID redirect to the image or return the record as JSON."""

import http
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from app.concurrency.clock import Clock
from app.config.source_registry import SourceRegistry
from app.domain.errors import InvalidParams, NoCover, Throttled
from app.domain.records import CacheStatus, LookupResult
from app.lookup.service import LookupService
from app.methods import explain_record
from app.rpc.faults import INTERNAL_ERROR, INVALID_PARAMS, Fault
from app.web.content_negotiation import JSON, prefers_json
from app.web.cross_origin import ALLOW_ANY_ORIGIN
from app.web.etag import is_not_modified, weak_etag
from app.web.response import Response, plain_text

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

ROOT: Final = "/cover/"

#: HTTP statuses for fault codes that are not HTTP statuses. Invalid parameters get 404, because they name no item.
_STATUSES: Final = {INVALID_PARAMS: http.HTTPStatus.NOT_FOUND, INTERNAL_ERROR: http.HTTPStatus.INTERNAL_SERVER_ERROR}

#: The max-age, in seconds, of responses that the next refresh may replace: stale covers and "no cover".
_SHORT_MAX_AGE = 10

_HEADERS: Final = (("Vary", "Accept"), ALLOW_ANY_ORIGIN, ("X-Content-Type-Options", "nosniff"))

#: Scripts of other web sites can read Retry-After only if this header lists it (Fetch Standard, 3.3.3).
_EXPOSE_RETRY_AFTER: Final = ("Access-Control-Expose-Headers", "Retry-After")


class CoverEndpoint:
    """Serves GET and HEAD below /cover/. ``to_fault`` maps an exception to the fault that describes it to clients."""

    def __init__(
        self, *, sources: SourceRegistry, lookup: LookupService, to_fault: Callable[[Exception], Fault], clock: Clock
    ) -> None:
        self._sources = sources
        self._lookup = lookup
        self._to_fault = to_fault
        self._clock = clock

    def __call__(self, environ: "WSGIEnvironment") -> Response:
        """Redirect to the image with 307, or return the record if the client prefers JSON.

        Without a cover, the status of the response follows from the fault.
        """
        as_json = prefers_json(environ.get("HTTP_ACCEPT", ""))
        try:
            item = self._sources.resolve_path(_item_path(environ))
            result = self._lookup.find(item)
        except Exception as error:  # noqa: BLE001 - to_fault maps every exception, and logs those that are bugs
            return self._error_response(error, {} if as_json else None)
        record = result.record
        explanation = explain_record(item, result, self._sources[item.source]) if as_json else None
        if not record.is_found:
            return self._error_response(record.to_error(self._clock()), explanation)
        headers = (*_HEADERS, ("Cache-Control", f"max-age={self._max_age(result)}"))
        if explanation is not None:
            return _json_response(environ, explanation, headers)
        return plain_text(http.HTTPStatus.TEMPORARY_REDIRECT, record.url, (*headers, ("Location", record.url)))

    def _max_age(self, result: LookupResult) -> int:
        """Return the number of seconds for which HTTP caches may reuse the response with this cover."""
        if result.cache is CacheStatus.STALE:
            return _SHORT_MAX_AGE
        return max(0, int(result.record.fresh_until - self._clock()))

    def _error_response(self, error: Exception, explanation: dict[str, Any] | None) -> Response:
        """Return the response to a lookup without a cover.

        ``explanation`` is the JSON body. If it is empty, the JSON body has only the text of the fault. If it is None,
        the client does not prefer JSON, and the body is the text of the fault as plain text.
        """
        fault = self._to_fault(error)
        status = http.HTTPStatus(_STATUSES.get(fault.code, fault.code))
        cache_control = f"max-age={_SHORT_MAX_AGE}" if isinstance(error, NoCover) else "no-store"
        headers: tuple[tuple[str, str], ...] = (*_HEADERS, ("Cache-Control", cache_control))
        if isinstance(error, Throttled):
            headers = (*headers, ("Retry-After", str(math.ceil(error.retry_after))), _EXPOSE_RETRY_AFTER)
        if explanation is None:
            return plain_text(status, fault.text, headers)
        return Response(status, _encode(explanation or {"error": fault.text}), JSON, headers)


def _item_path(environ: "WSGIEnvironment") -> str:
    """Return the part of the path below ``ROOT``.

    A WSGI server decodes paths as latin-1 (PEP 3333). Raises InvalidParams if the path is not UTF-8.
    """
    path: str = environ["PATH_INFO"].removeprefix(ROOT)
    try:
        return path.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise InvalidParams("the path is not UTF-8") from None


def _json_response(
    environ: "WSGIEnvironment", explanation: dict[str, Any], headers: tuple[tuple[str, str], ...]
) -> Response:
    """Return the record as JSON, or 304 if If-None-Match lists the ETag.

    The ETag does not depend on the cache status, which may differ between responses with the same record.
    """
    etag = weak_etag(_encode(explanation | {"cache": ""}))
    headers = (*headers, ("ETag", etag))
    if is_not_modified(environ, etag):
        return Response(http.HTTPStatus.NOT_MODIFIED, b"", headers=headers)
    return Response(http.HTTPStatus.OK, _encode(explanation), JSON, headers)


def _encode(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"
