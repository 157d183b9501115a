"""The WSGI application: which path is answered by what, and how XML-RPC travels over HTTP."""

import functools
import gzip
import http
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from app.web.body import BodyRefused, read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: Answers of fewer bytes are not worth compressing (the threshold of CPython's own XML-RPC server).
_GZIP_FROM = 1400

_XML_TYPE = re.compile(r"(?:text|application)/(?:[\w.-]+\+)?xml", re.IGNORECASE | re.ASCII)
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';]+)""", re.IGNORECASE | re.ASCII)


_STATUS_LINES = {status: f"{status.value} {status.phrase}" for status in http.HTTPStatus}


class Response(msgspec.Struct, frozen=True):
    """An answer: status, body, its type, further headers."""

    status: http.HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[["WSGIEnvironment"], Response]


class Dispatch(Protocol):
    """Answers an XML-RPC request, bytes to bytes, as ``app.rpc.dispatcher.Dispatcher.dispatch`` does."""

    def __call__(self, body: bytes, *, charset: str | None = None) -> bytes: ...  # noqa: D102 - see the class


class Application:
    """The WSGI application. ``max_body`` is the largest body of a request in bytes, as sent."""

    def __init__(self, *, dispatch: Dispatch, max_body: int) -> None:
        self._dispatch = dispatch
        self._max_body = max_body
        self._routes: Mapping[str, Mapping[str, Handler]] = {"/RPC2": {"POST": self._rpc}}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        response = self._answer(environ)
        start_response(
            _STATUS_LINES[response.status],
            [
                ("Content-Type", response.content_type),
                ("Content-Length", str(len(response.body))),
                *response.headers,
            ],
        )
        return (response.body,)

    def _answer(self, environ: "WSGIEnvironment") -> Response:
        methods = self._routes.get(environ["PATH_INFO"])
        if methods is None:
            return _plain(http.HTTPStatus.NOT_FOUND, "Nothing is here. XML-RPC is answered at /RPC2.")
        handler = methods.get(environ["REQUEST_METHOD"])
        if handler is None:
            allowed = ", ".join(methods)
            return _plain(
                http.HTTPStatus.METHOD_NOT_ALLOWED, f"What is answered here is {allowed}.", (("Allow", allowed),)
            )
        try:
            return handler(environ)
        except BodyRefused as refused:
            return _plain(refused.status, str(refused), refused.headers)

    def _rpc(self, environ: "WSGIEnvironment") -> Response:
        is_xml, charset = _read_type(environ.get("CONTENT_TYPE", ""))
        if not is_xml:
            return _plain(http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "An XML-RPC request has the type text/xml.")
        body = read_body(environ, max_body=self._max_body)
        answer = self._dispatch(body, charset=charset)
        # The charset unquoted: quoted it has broken clients.
        return _compressed(environ, Response(http.HTTPStatus.OK, answer, "text/xml; charset=utf-8"))


@functools.lru_cache(256)
def _read_type(content_type: str) -> tuple[bool, str | None]:
    """Return whether a Content-Type is XML's, and its charset."""
    charset = _CHARSET.search(content_type)
    is_xml = _XML_TYPE.fullmatch(content_type.partition(";")[0].strip()) is not None
    return is_xml, charset[1] if charset else None


def _plain(status: http.HTTPStatus, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    return Response(status, f"{text}\n".encode(), headers=headers)


def _compressed(environ: "WSGIEnvironment", response: Response) -> Response:
    """Return the response as gzip where it is large enough and the caller takes gzip."""
    if len(response.body) < _GZIP_FROM:
        return response
    vary = (*response.headers, ("Vary", "Accept-Encoding"))
    if not _accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
        return msgspec.structs.replace(response, headers=vary)
    # Level 1 costs a third of the default's time and is within a tenth of its size on XML.
    packed = gzip.compress(response.body, compresslevel=1, mtime=0)
    return msgspec.structs.replace(response, body=packed, headers=(*vary, ("Content-Encoding", "gzip")))


def _accepts_gzip(accept_encoding: str) -> bool:
    """Read Accept-Encoding (RFC 9110, 12.5.3): gzip by its name, else by ``*``, unless refused with ``q=0``."""
    weights = {}
    for offer in accept_encoding.lower().split(","):
        coding, _, parameters = offer.partition(";")
        weights[coding.strip()] = parameters.replace(" ", "").removeprefix("q=") or "1"
    weight = next((weights[name] for name in ("gzip", "x-gzip", "*") if name in weights), "0")
    return weight.strip("0.") != ""
