"""What all doors of the tests have: the configuration file of their gunicorns."""

from gevent import monkey

monkey.patch_all()

import signal  # noqa: E402 - patching comes first
from typing import Any  # noqa: E402 - likewise

http_parser = "python"
control_socket_disable = True
forwarder_headers = ""
limit_request_line = 4094
limit_request_fields = 64
graceful_timeout = 10


def post_fork(_server: Any, _worker: Any) -> None:
    """Let a worker end at once that has no handlers of its own yet, as the service does."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
