"""A response over HTTP, before it is a server's: status, body, headers."""

import http
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Response(msgspec.Struct, frozen=True):
    """An answer: status, body, its type, further headers."""

    status: http.HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


#: Answers requests of one path and method. It may raise ``app.web.request_body.BodyRefused``.
Handler = Callable[["WSGIEnvironment"], Response]


def plain_text(status: http.HTTPStatus, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return a line for a person."""
    return Response(status, f"{text}\n".encode(), headers=headers)
