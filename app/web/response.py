"""HTTP responses as values, independent of WSGI."""

import http
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Response(msgspec.Struct, frozen=True):
    """A response: its status, its body, its Content-Type and its other headers."""

    status: http.HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


#: A function that serves one path and method.
Handler = Callable[["WSGIEnvironment"], Response]


def plain_text(status: http.HTTPStatus, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return a response with one line of plain text."""
    return Response(status, f"{text}\n".encode(), headers=headers)
