"""GET /metrics: the metrics for Prometheus to scrape."""

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
    """Serves /metrics. ``exposition`` returns the metrics in Prometheus' text format.

    It runs in a thread, one call at a time, since a long exposition takes milliseconds.
    """

    def __init__(self, exposition: Callable[[], bytes]) -> None:
        self._exposition: Final = exposition
        self._threads = ThreadPool(1)

    def __call__(self, _environ: "WSGIEnvironment") -> Response:
        """Return the metrics."""
        return Response(http.HTTPStatus.OK, run_in_thread(self._exposition, self._threads), CONTENT_TYPE)
