"""gunicorn's configuration for these tests."""

from gevent import monkey

monkey.patch_all()

import signal  # noqa: E402 - monkey-patching must precede the imports
from typing import Any  # noqa: E402

http_parser = "python"
control_socket_disable = True
forwarder_headers = ""
limit_request_line = 4094
limit_request_fields = 64
graceful_timeout = 10


def post_fork(_server: Any, _worker: Any) -> None:
    """Restore the default signal handlers, so that a signal ends a worker that is still starting."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
