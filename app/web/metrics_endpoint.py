"""GET /metrics: what Prometheus reads."""

import http
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gevent.threadpool import ThreadPool

from app.concurrency.greenlets import run_in_thread
from app.telemetry.prometheus import CONTENT_TYPE
from app.web.response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class MetricsEndpoint:
    """Answers /metrics with what ``text`` returns: in a thread, one at a time, since a long one takes milliseconds."""

    def __init__(self, exposition: Callable[[], bytes]) -> None:
        self._text: Final = exposition
        self._threads = ThreadPool(1)

    def __call__(self, _environ: "WSGIEnvironment") -> Response:
        """Answer a request."""
        return Response(http.HTTPStatus.OK, run_in_thread(self._text, self._threads), CONTENT_TYPE)
