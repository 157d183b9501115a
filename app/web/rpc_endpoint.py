"""XML-RPC over HTTP: what is let through to the dispatcher, and how its answer travels."""

import functools
import http
import re
from typing import TYPE_CHECKING, Any

from app.rpc.dispatcher import Dispatcher
from app.telemetry.request_context import ACCESS_FIELDS
from app.web.content_negotiation import compress_response
from app.web.request_body import read_body
from app.web.request_id import ON_CACHEABLE
from app.web.response import Response, plain_text

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: So much of a method's name is logged.
_MAX_NAME = 64

_XML_TYPE = re.compile(r"(?:text|application)/(?:[\w.-]+\+)?xml", re.IGNORECASE | re.ASCII)
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';]+)""", re.IGNORECASE | re.ASCII)


class RpcEndpoint:
    """Answers POST /RPC2. ``max_body`` is the largest body of a request in bytes, as sent."""

    def __init__(self, *, dispatcher: Dispatcher, max_body: int) -> None:
        self._dispatcher = dispatcher
        self._max_body = max_body

    def __call__(self, environ: "WSGIEnvironment") -> Response:
        """Answer a request. Raises BodyRefused for a body that cannot be had."""
        is_xml, charset = _read_type(environ.get("CONTENT_TYPE", ""))
        if not is_xml:
            return plain_text(http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "An XML-RPC request has the type text/xml.")
        body = read_body(environ, max_body=self._max_body)
        tell = functools.partial(_tell, environ[ACCESS_FIELDS])
        answer = self._dispatcher.dispatch(
            body, charset=charset, on_cacheable=environ.get(ON_CACHEABLE), on_finished=tell
        )
        # The charset unquoted: quoted it has broken clients.
        return compress_response(environ, Response(http.HTTPStatus.OK, answer, "text/xml; charset=utf-8"))


def _tell(fields: dict[str, Any], method: str, fault: int | None) -> None:
    """Leave for the access log what was called; a caller may call it as long as it likes."""
    fields.update(rpc_method=method[:_MAX_NAME], fault=fault)


@functools.lru_cache(256)
def _read_type(content_type: str) -> tuple[bool, str | None]:
    """Return whether a Content-Type is XML's, and its charset."""
    charset = _CHARSET.search(content_type)
    is_xml = _XML_TYPE.fullmatch(content_type.partition(";")[0].strip()) is not None
    return is_xml, charset[1] if charset else None
