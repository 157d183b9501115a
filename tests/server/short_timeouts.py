"""The worker with short timeouts, for fast tests."""

from app.server import Worker


class ShortTimeoutWorker(Worker):
    """The worker with short timeouts."""

    body_timeout = 0.5
    response_timeout = 0.5
    tick_interval = 0.05
