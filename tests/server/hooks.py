"""gunicorn's configuration for these tests, with hooks that change and log requests."""

from typing import Any

from tests.server.conf import *  # noqa: F403 - the settings that all tests have in common


def pre_request(worker: Any, req: Any) -> None:
    """Add a header field before the environ is made."""
    req.headers.append(("X-HOOK", f"{worker.nr}"))


def post_request(worker: Any, req: Any, environ: dict[str, Any], resp: Any) -> None:
    """Log the request and the status of its response."""
    count = len(req.headers)
    worker.log.info("done %s %s %s %s %s", req.method, req.path, count, environ["PATH_INFO"], resp.status)
