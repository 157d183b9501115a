"""The worker with small limits, so that no test waits for the usual ones."""

from app.server import Worker


class Quick(Worker):
    """A worker in a hurry."""

    body_timeout = 0.5
    response_timeout = 0.5
    tick_interval = 0.05
