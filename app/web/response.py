"""HTTP responses as values, independent of WSGI."""

import http
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Response(msgspec.Struct, frozen=True):
    """A response: status, body, Content-Type, further headers."""

    status: http.HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


#: Serves one path and method. It may raise ``app.web.request_body.BodyRejected``.
Handler = Callable[["WSGIEnvironment"], Response]


def plain_text(status: http.HTTPStatus, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return a response with one line of plain text."""
    return Response(status, f"{text}\n".encode(), headers=headers)
