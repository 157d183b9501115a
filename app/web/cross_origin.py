"""Cross-origin requests. Scripts of every web site may call XML-RPC (the CORS protocol, section 3.3 of Fetch Standard).

Browsers allow that only for requests without credentials. No response depends on who sent the request.
"""

import http
from typing import TYPE_CHECKING, Final

from app.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: The header that lets scripts of every web site read a response, if the request had no cookies and no passwords.
ALLOW_ANY_ORIGIN: Final = ("Access-Control-Allow-Origin", "*")

_PREFLIGHT_RESPONSE: Final = Response(
    http.HTTPStatus.NO_CONTENT,
    b"",
    headers=(
        ALLOW_ANY_ORIGIN,
        ("Access-Control-Allow-Methods", "POST"),
        ("Access-Control-Allow-Headers", "Content-Type, X-Request-Id"),
        # Seconds for which a browser may cache the response to a preflight request. Many browsers have a lower limit.
        ("Access-Control-Max-Age", "86400"),
    ),
)


def preflight(_environ: "WSGIEnvironment") -> Response:
    """Respond to the OPTIONS request with which a browser asks whether a script of another site may send a POST."""
    return _PREFLIGHT_RESPONSE
