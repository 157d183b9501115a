"""The mapping of HTTP statuses to outcomes and errors, Retry-After included."""

import email.utils
import http

import requests

from app.domain.errors import LookupFailed, OriginDown
from app.domain.records import Outcome, error_for_outcome
from app.fetch.error_text import printable_line
from app.fetch.http_request import Endpoint

_MAX_RETRY_AFTER = 86_400.0


def error_for_response(
    outcome: Outcome | None, endpoint: Endpoint, response: requests.Response, now: float
) -> LookupFailed:
    """Return the error that a response without a page stands for.

    ``outcome`` is the outcome that a response pattern assigns to the response. If ``outcome`` is None, the status has
    its meaning in RFC 9110. A date in Retry-After is compared with ``now``, the wall clock time in seconds since the
    epoch.
    """
    status = response.status_code
    text = f"{endpoint.authority} answered {status} {printable_line(response.reason or '')}".rstrip()
    retry_after = response.headers.get("Retry-After")
    if outcome is None:
        outcome = _outcome_of(status, has_retry_after=retry_after is not None)
    if outcome is Outcome.ORIGIN_FAILED and status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return OriginDown(text, status=status)
    if outcome is Outcome.NO_SUCH_ITEM:
        text = f"no such item: {text}"
    return error_for_outcome(outcome, text, status=status, retry_after=_parse_retry_after(retry_after, now))


def _outcome_of(status: int, *, has_retry_after: bool) -> Outcome:
    """Return the outcome for a status other than 200 (RFC 9110, 15)."""
    match status:
        case 404 | 410:
            return Outcome.NO_SUCH_ITEM
        case 401 | 403 | 451:
            return Outcome.BLOCKED
        case 429:
            return Outcome.THROTTLED
        case 503 if has_retry_after:
            return Outcome.THROTTLED
        case _:
            return Outcome.ORIGIN_FAILED


def _parse_retry_after(value: str | None, now: float) -> float:
    """Return the seconds of a Retry-After field (RFC 9110, 10.2.3), a number or a date; 0 if it is invalid."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER)
