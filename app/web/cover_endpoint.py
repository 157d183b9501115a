"""Covers over plain HTTP: GET /cover/SOURCE/ID or /cover/ID leads to the picture, or tells what is known of it."""

import http
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from app.concurrency.clock import Clock
from app.config.sources import SourceRegistry
from app.domain.errors import InvalidParams, NoCover, Throttled
from app.domain.records import CacheStatus, LookupResult
from app.lookup.service import LookupService
from app.methods import explain_record
from app.rpc.faults import INTERNAL_ERROR, INVALID_PARAMS, Fault
from app.web.content_negotiation import JSON, prefers_json
from app.web.etag import is_not_modified, weak_etag
from app.web.response import Response, plain_text

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

ROOT: Final = "/cover/"

#: The faults whose codes are no HTTP status; those of lookups are. An id that cannot be has no cover: 404.
_STATUSES: Final = {INVALID_PARAMS: http.HTTPStatus.NOT_FOUND, INTERNAL_ERROR: http.HTTPStatus.INTERNAL_SERVER_ERROR}

#: For so many seconds caches may keep what may be over at any time: an old cover, and that there is none.
_SHORT = 10

#: Any site may show covers and read records: there is nothing here that only some may see.
_HEADERS: Final = (("Vary", "Accept"), ("Access-Control-Allow-Origin", "*"), ("X-Content-Type-Options", "nosniff"))

#: Scripts of other sites see no such header unless it is named to them (Fetch, 3.3.3).
_EXPOSED: Final = ("Access-Control-Expose-Headers", "Retry-After")


class CoverEndpoint:
    """Answers GET and HEAD below /cover/. ``fault_of`` tells what a caller is told of an exception."""

    def __init__(
        self, *, sources: SourceRegistry, lookup: LookupService, to_fault: Callable[[Exception], Fault], clock: Clock
    ) -> None:
        self._sources = sources
        self._lookup = lookup
        self._fault_of = to_fault
        self._clock = clock

    def __call__(self, environ: "WSGIEnvironment") -> Response:
        """Answer with 307 to the picture, or with the record for who prefers JSON; else with what went wrong."""
        as_json = prefers_json(environ.get("HTTP_ACCEPT", ""))
        try:
            item = self._sources.resolve_path(_path_of(environ))
            answer = self._lookup.find(item)
        except Exception as error:  # noqa: BLE001 - each becomes a status; one that nobody can explain is logged
            return self._failed(error, {} if as_json else None)
        record = answer.record
        known = explain_record(item, answer, self._sources[item.source]) if as_json else None
        if not record.is_found:
            return self._failed(record.to_error(self._clock()), known)
        headers = (*_HEADERS, ("Cache-Control", f"max-age={self._seconds_good(answer)}"))
        if known is not None:
            return _record(environ, known, headers)
        return plain_text(http.HTTPStatus.TEMPORARY_REDIRECT, record.url, (*headers, ("Location", record.url)))

    def _seconds_good(self, answer: LookupResult) -> int:
        """Return for how many seconds caches may keep a cover."""
        return _SHORT if answer.cache is CacheStatus.STALE else max(0, int(answer.record.fresh_until - self._clock()))

    def _failed(self, error: Exception, known: dict[str, Any] | None) -> Response:
        """Answer with what went wrong: a line, or JSON where ``known`` is what the record says, if there is one."""
        fault = self._fault_of(error)
        status = http.HTTPStatus(_STATUSES.get(fault.code, fault.code))
        caching = f"max-age={_SHORT}" if isinstance(error, NoCover) else "no-store"
        wait = (("Retry-After", str(math.ceil(error.retry_after))), _EXPOSED) if isinstance(error, Throttled) else ()
        headers = (*_HEADERS, ("Cache-Control", caching), *wait)
        if known is None:
            return plain_text(status, fault.text, headers)
        return Response(status, _encoded(known or {"error": fault.text}), JSON, headers)


def _path_of(environ: "WSGIEnvironment") -> str:
    """Return the path behind the root; WSGI hands its bytes over as latin-1. Raises InvalidParams: it is no UTF-8."""
    path: str = environ["PATH_INFO"].removeprefix(ROOT)
    try:
        return path.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise InvalidParams("the path is not UTF-8") from None


def _record(environ: "WSGIEnvironment", known: dict[str, Any], headers: tuple[tuple[str, str], ...]) -> Response:
    """Return a record as JSON, or 304 for who has it already: where it came from this time makes no difference."""
    etag = weak_etag(_encoded(known | {"cache": ""}))
    headers = (*headers, ("ETag", etag))
    if is_not_modified(environ, etag):
        return Response(http.HTTPStatus.NOT_MODIFIED, b"", headers=headers)
    return Response(http.HTTPStatus.OK, _encoded(known), JSON, headers)


def _encoded(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"
