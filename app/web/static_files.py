"""The web page: a few files, read once, that a browser makes a page of."""

import gzip
import http
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from app.web.content_negotiation import GZIP_MIN_BYTES, accepts_gzip
from app.web.etag import is_not_modified, weak_etag
from app.web.response import Response, plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed.wsgi import WSGIEnvironment

FOLDER: Final = Path(__file__).parent / "static"
ROOT: Final = "/static/"

#: What is served at ``/``.
_FIRST = "index.html"

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

#: Nothing but the page's own script and style, and pictures from anywhere, which is what the page is for.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src *; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

#: Caches ask each time whether there is another one, so that after an update no file meets one of another version.
_HEADERS: Final = (
    ("Cache-Control", "no-cache"),
    ("Vary", "Accept-Encoding"),
    ("Content-Security-Policy", _POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


class _File(msgspec.Struct, frozen=True):
    """A file as it is served: plain, as gzip, and to those who have it."""

    plain: Response
    packed: Response
    unchanged: Response
    etag: str


class StaticFiles:
    """Answers GET and HEAD of ``/`` and below /static/."""

    def __init__(self) -> None:
        self._files: Mapping[str, _File] = {
            path.name: _read(path) for path in FOLDER.iterdir() if path.suffix in _TYPES
        }

    def __call__(self, environ: "WSGIEnvironment") -> Response:
        """Answer with a file; with 404 where there is none of that name."""
        path: str = environ["PATH_INFO"]
        file = self._files.get(_FIRST if path == "/" else path.removeprefix(ROOT))
        if file is None:
            return plain_text(http.HTTPStatus.NOT_FOUND, "There is no such file.")
        if is_not_modified(environ, file.etag):
            return file.unchanged
        return file.packed if accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")) else file.plain


def _read(path: Path) -> _File:
    body = path.read_bytes()
    etag = weak_etag(body)
    headers = (*_HEADERS, ("ETag", etag))
    whole = Response(http.HTTPStatus.OK, body, _TYPES[path.suffix], headers)
    packed = whole
    if len(body) >= GZIP_MIN_BYTES:
        packed = msgspec.structs.replace(
            whole, body=gzip.compress(body, mtime=0), headers=(*headers, ("Content-Encoding", "gzip"))
        )
    return _File(whole, packed, Response(http.HTTPStatus.NOT_MODIFIED, b"", headers=headers), etag)
