"""XML-RPC over HTTP: POST passes the request body to the dispatcher and returns the XML-RPC response."""

import functools
import http
import re
from typing import TYPE_CHECKING, Any

from app.rpc.dispatcher import Dispatcher
from app.telemetry.request_context import ACCESS_FIELDS
from app.web.content_negotiation import compress_response
from app.web.cross_origin import ALLOW_ANY_ORIGIN
from app.web.request_body import BodyRejected, read_body
from app.web.request_id import ON_CACHEABLE
from app.web.response import Response, plain_text

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: The access log has at most this many characters of a method name, because clients may send names of any length.
_MAX_LOGGED_NAME = 64

_XML_TYPE = re.compile(r"(?:text|application)/(?:[\w.-]+\+)?xml", re.IGNORECASE | re.ASCII)
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';]+)""", re.IGNORECASE | re.ASCII)


class RpcEndpoint:
    """Serves POST. ``max_body`` is the maximum size of a request body in bytes, before decompression."""

    def __init__(self, *, dispatcher: Dispatcher, max_body: int) -> None:
        self._dispatcher = dispatcher
        self._max_body = max_body

    def __call__(self, environ: "WSGIEnvironment") -> Response:
        """Return the response to a call, or an error response if the body cannot be read."""
        is_xml, charset = _parse_content_type(environ.get("CONTENT_TYPE", ""))
        if not is_xml:
            return plain_text(
                http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "The Content-Type of an XML-RPC request must be text/xml.",
                (ALLOW_ANY_ORIGIN,),
            )
        try:
            body = read_body(environ, max_body=self._max_body)
        except BodyRejected as rejected:
            return plain_text(rejected.status, str(rejected), (*rejected.headers, ALLOW_ANY_ORIGIN))
        result = self._dispatcher.dispatch(
            body,
            charset=charset,
            on_cacheable=environ.get(ON_CACHEABLE),
            on_finished=functools.partial(_set_access_fields, environ[ACCESS_FIELDS]),
        )
        # The charset is not quoted, because some clients fail to parse a quoted charset.
        response = Response(http.HTTPStatus.OK, result, "text/xml; charset=utf-8", (ALLOW_ANY_ORIGIN,))
        return compress_response(environ, response)


def _set_access_fields(fields: dict[str, Any], method: str, fault: int | None) -> None:
    """Add the called method and its fault code to the fields of the access log."""
    fields.update(rpc_method=method[:_MAX_LOGGED_NAME], fault=fault)


@functools.lru_cache(256)
def _parse_content_type(content_type: str) -> tuple[bool, str | None]:
    """Return whether a body with this Content-Type is read as XML, and the charset that it names, if any.

    A body without a type is read as XML, because some XML-RPC clients send no Content-Type.
    """
    charset = _CHARSET.search(content_type)
    is_xml = not content_type.strip() or _XML_TYPE.fullmatch(content_type.partition(";")[0].strip()) is not None
    return is_xml, charset[1] if charset else None
