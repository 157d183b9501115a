"""A rate limit for log lines that repeat."""

from app.concurrency.clock import Clock

_SECONDS = 60.0


class OncePerMinute:
    """Allows one event of each kind per minute. ``clock`` returns seconds and does not jump."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._allowed_at: dict[str, float] = {}

    def allows(self, kind: str) -> bool:
        """Return whether this event is allowed: no event of its kind was allowed within the last minute."""
        now = self._clock()
        if now < self._allowed_at.get(kind, float("-inf")) + _SECONDS:
            return False
        self._allowed_at[kind] = now
        return True
