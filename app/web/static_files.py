"""Static files of the web page, loaded once at start and served with ETag and gzip."""

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

#: The file that is served at ``/``.
_INDEX = "index.html"

_CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

#: The page may load its own scripts and styles only, but images from every host: covers are on the origins' hosts.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src *; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

#: With no-cache, caches revalidate each file on each use. So files of different versions are not mixed after an update.
_HEADERS: Final = (
    ("Cache-Control", "no-cache"),
    ("Vary", "Accept-Encoding"),
    ("Content-Security-Policy", _CONTENT_SECURITY_POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


class _File(msgspec.Struct, frozen=True):
    """The responses with a file: uncompressed, compressed with gzip, and 304. Small files are never compressed."""

    identity: Response
    gzip: Response
    not_modified: Response
    etag: str


class StaticFiles:
    """Serves GET and HEAD of ``/`` and below /static/."""

    def __init__(self) -> None:
        self._files: Mapping[str, _File] = {
            path.name: _load(path) for path in FOLDER.iterdir() if path.suffix in _CONTENT_TYPES
        }

    def __call__(self, environ: "WSGIEnvironment") -> Response:
        """Return a file, 304 if the client has it already, or 404 if there is no file of this name."""
        path: str = environ["PATH_INFO"]
        file = self._files.get(_INDEX if path == "/" else path.removeprefix(ROOT))
        if file is None:
            return plain_text(http.HTTPStatus.NOT_FOUND, "There is no such file.")
        if is_not_modified(environ, file.etag):
            return file.not_modified
        return file.gzip if accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")) else file.identity


def _load(path: Path) -> _File:
    body = path.read_bytes()
    etag = weak_etag(body)
    headers = (*_HEADERS, ("ETag", etag))
    identity = Response(http.HTTPStatus.OK, body, _CONTENT_TYPES[path.suffix], headers)
    compressed = identity
    if len(body) >= GZIP_MIN_BYTES:
        compressed = msgspec.structs.replace(
            identity, body=gzip.compress(body, mtime=0), headers=(*headers, ("Content-Encoding", "gzip"))
        )
    return _File(identity, compressed, Response(http.HTTPStatus.NOT_MODIFIED, b"", headers=headers), etag)
