"""Health: whether the process lives, and whether it should get traffic."""

import http
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from app.store.circuit_breaker import CircuitBreakingStore
from app.telemetry.hub_lag import HubLagMonitor
from app.web.response import Response, plain_text

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: A hub that is later than this, in seconds, has more to do than it can.
MAX_LAG = 1.0

#: Whoever asks is to hear how it is now.
_HEADERS = (("Cache-Control", "no-store"),)


class Health:
    """Answers those who watch over the service. ``is_leaving`` tells whether the server ends."""

    def __init__(
        self, *, store: CircuitBreakingStore[Any], hub_lag: HubLagMonitor, is_shutting_down: Callable[[], bool]
    ) -> None:
        self._store = store
        self._pulse = hub_lag
        self._is_leaving = is_shutting_down

    def healthz(self, _environ: "WSGIEnvironment") -> Response:
        """Answer /healthz: that there is an answer is all that it says."""
        return plain_text(http.HTTPStatus.OK, "alive", _HEADERS)

    def readyz(self, _environ: "WSGIEnvironment") -> Response:
        """Answer /readyz: 200, or 503 and why."""
        obstacles = "; ".join(self._obstacles())
        if obstacles:
            return plain_text(http.HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {obstacles}", _HEADERS)
        # That costs speed, not answers.
        remark = "; the store is passed over" if self._store.is_bypassed else ""
        return plain_text(http.HTTPStatus.OK, f"ready{remark}", _HEADERS)

    def _obstacles(self) -> Iterator[str]:
        if self._is_leaving():
            yield "shutting down"
        if not self._store.has_been_tried:
            yield "the store has not answered yet"
        lag = self._pulse.current()
        if lag > MAX_LAG:
            yield f"{lag:.1f} seconds late with everything"
