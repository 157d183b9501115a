"""Health checks: /healthz for liveness and /readyz for readiness."""

import http
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from app.store.circuit_breaker import CircuitBreakingStore
from app.telemetry.hub_lag import HubLagMonitor
from app.web.response import Response, plain_text

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: A worker whose hub lags by more than this, in seconds, is overloaded and not ready.
MAX_LAG = 1.0

_HEADERS = (("Cache-Control", "no-store"),)


class Health:
    """The health endpoints of a worker. ``is_shutting_down`` returns whether the server is shutting down."""

    def __init__(
        self, *, store: CircuitBreakingStore[Any], hub_lag: HubLagMonitor, is_shutting_down: Callable[[], bool]
    ) -> None:
        self._store = store
        self._hub_lag = hub_lag
        self._is_shutting_down = is_shutting_down

    def healthz(self, _environ: "WSGIEnvironment") -> Response:
        """Serve /healthz: always 200."""
        return plain_text(http.HTTPStatus.OK, "alive", _HEADERS)

    def readyz(self, _environ: "WSGIEnvironment") -> Response:
        """Serve /readyz: 200, or 503 with the reasons why the worker is not ready."""
        problems = "; ".join(self._problems())
        if problems:
            return plain_text(http.HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {problems}", _HEADERS)
        # Without its store the worker is slower, but serves every request.
        note = "; the store is bypassed" if self._store.is_bypassed else ""
        return plain_text(http.HTTPStatus.OK, f"ready{note}", _HEADERS)

    def _problems(self) -> Iterator[str]:
        if self._is_shutting_down():
            yield "shutting down"
        if not self._store.has_been_tried:
            yield "the store has not answered yet"
        lag = self._hub_lag.current()
        if lag > MAX_LAG:
            yield f"the event loop lags by {lag:.1f} seconds"
