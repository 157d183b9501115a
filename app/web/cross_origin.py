"""Cross-origin requests: scripts of every web site may call XML-RPC (CORS; Fetch Standard, 3.3).

The requests are without credentials. Nothing in a response depends on who sent the request.
"""

import http
from typing import TYPE_CHECKING, Final

from app.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: The header that lets scripts of every web site read a response. Browsers then send no cookies or passwords.
ALLOW_ANY_ORIGIN: Final = ("Access-Control-Allow-Origin", "*")

_PREFLIGHT_RESPONSE: Final = Response(
    http.HTTPStatus.NO_CONTENT,
    b"",
    headers=(
        ALLOW_ANY_ORIGIN,
        ("Access-Control-Allow-Methods", "POST"),
        ("Access-Control-Allow-Headers", "Content-Type, X-Request-Id"),
        # Seconds for which a browser need not repeat the preflight request. Browsers have lower limits of their own.
        ("Access-Control-Max-Age", "86400"),
    ),
)


def preflight(_environ: "WSGIEnvironment") -> Response:
    """Respond to OPTIONS, with which a browser asks whether a script of another site may send a POST."""
    return _PREFLIGHT_RESPONSE
