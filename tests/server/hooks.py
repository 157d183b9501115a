"""The doors' configuration with hooks that have a hand in requests, and tell of them."""

from typing import Any

from tests.server.conf import *  # noqa: F403 - what all doors have


def pre_request(worker: Any, req: Any) -> None:
    """Change the request before its environ is made."""
    req.headers.append(("X-HOOK", f"{worker.nr}"))


def post_request(worker: Any, req: Any, environ: dict[str, Any], resp: Any) -> None:
    """Say which request was answered, and how."""
    count = len(req.headers)
    worker.log.info("done %s %s %s %s %s", req.method, req.path, count, environ["PATH_INFO"], resp.status)
