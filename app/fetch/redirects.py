"""Redirects (RFC 9110, 15.4): how many are followed, where each leads, and which hosts a source allows."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urljoin

import requests

from app.config.source import Source
from app.domain.errors import OriginFailed
from app.domain.url import InvalidUrl, normalize_url
from app.fetch.error_text import printable_line
from app.fetch.http_request import Endpoint, parse_url

MAX_REDIRECTS: Final = 5
_MAX_URL = 8192  # characters; records store the final URL


def resolve_redirect(
    response: requests.Response, url: str, endpoint: Endpoint, *, is_allowed: Callable[[Endpoint], bool]
) -> tuple[str, Endpoint]:
    """Return the URL to which ``response`` redirects, and the endpoint of this URL.

    ``url`` and ``endpoint`` are those of the request. A relative Location is resolved against ``url``.

    Raises:
        OriginFailed: the target is not a valid URL, is too long, or ``is_allowed`` returned false for its endpoint.

    """
    # Header fields are decoded as Latin-1, but servers send non-ASCII characters of URLs in UTF-8.
    target = response.headers["Location"].encode("latin-1").decode("utf-8", "replace")
    try:
        if len(target) <= _MAX_URL and len(target := normalize_url(urljoin(url, target))) <= _MAX_URL:
            target_endpoint, _ = parse_url(target)
            if is_allowed(target_endpoint):
                return target, target_endpoint
    except (ValueError, InvalidUrl):
        pass
    raise OriginFailed(
        f"{endpoint.authority} redirects to {printable_line(target)!r}, which is not allowed",
        status=response.status_code,
    )


def is_allowed_host(endpoint: Endpoint, source: Source) -> bool:
    """Return whether the host of ``endpoint`` matches one of ``source.allowed_hosts``."""
    return any(_matches(endpoint.host, pattern) for pattern in source.allowed_hosts)


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
