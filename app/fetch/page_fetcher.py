"""One try to get a page of an origin: the page within its limits, or a domain error.

Exceptions of requests end here, each mapped once. Nothing of one page is left for the next: no cookies, and no proxies
or passwords from the environment.
"""

import email.utils
import http
import re
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urljoin

import gevent
import msgspec
import requests

from app.config.source import Source
from app.domain.errors import LookupFailed, OriginDown, OriginFailed, TooSlow
from app.domain.records import Outcome, error_for_outcome
from app.domain.url import InvalidUrl, normalize_url
from app.fetch.connection_pool import ConnectionPool
from app.fetch.header_fields import HeaderFields
from app.fetch.http_request import Endpoint, InvalidUrlError, parse_url
from app.fetch.transport import TransportAdapter

_MAX_REDIRECTS = 5
_MAX_RETRY_AFTER = 86_400.0
_MAX_URL = 8192  # characters; records keep where redirects have led
_MAX_VALIDATOR = 256
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([A-Za-z0-9._:-]+)""", re.IGNORECASE | re.ASCII)

_T = TypeVar("_T")


class Validators(msgspec.Struct, frozen=True, kw_only=True):
    """A page's ETag and Last-Modified (RFC 9110, 8.8), as they came; empty where the origin gave none."""

    etag: str = ""
    last_modified: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page that was read whole: its final URL, its bytes after decompression, the charset of its Content-Type."""

    url: str
    body: bytes
    status: int = 200
    charset: str | None = None
    validators: Validators = Validators()


class PageFetcher:
    """Fetches pages over connections that are kept and shared by the greenlets of one process.

    ``wall`` tells seconds since the epoch, for dates in Retry-After.
    """

    def __init__(self, *, user_agent: str, wall_clock: Callable[[], float], pool: ConnectionPool | None = None) -> None:
        self._connections = ConnectionPool() if pool is None else pool
        self._fields = {"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "gzip"}
        self._headers = HeaderFields(self._fields)
        self._wall = wall_clock

    def fetch(
        self,
        source: Source,
        url: str,
        *,
        timeout: float,
        validators: Validators | None = None,
        check_redirect: Callable[[str], None] = lambda _: None,
    ) -> Page | None:
        """Return the page at ``url``, its redirects followed, whole within ``timeout`` seconds in all.

        With ``validators`` it is asked for on the condition that it has changed; None says that it has not.
        ``may_follow`` is called with where each redirect leads, and may raise.

        Raises:
            NoSuchItem: 404 or 410.
            Blocked: 401, 403 or 451.
            Throttled: 429, or 503 with Retry-After.
            OriginDown: no connection, a broken one, or any other 5xx: another try may help.
            TooSlow: the time was up.
            OriginFailed: anything else that is no page.
            LookupFailed: the one of these that ``source`` says a status stands for.

        """
        page = _endpoint_of(url)
        self.check(source, url)
        home = page if source.id_selects_host else _endpoint_of(source.page_url.replace("{id}", ""))
        errand = _Errand(source, url, page, home, _conditions(validators))
        return _within(timeout, page, lambda: self._follow(errand, timeout, check_redirect))

    def check(self, source: Source, url: str) -> None:
        """Look whether ``source`` may ask for ``url`` at all, where its ids name the host. Raises OriginFailed."""
        if not source.id_selects_host:
            return
        page = _endpoint_of(url)
        if not _is_allowed(page, source):
            raise OriginFailed(f"{page.authority} is none of the hosts that its source may name")
        if not page.has_default_port and not source.private_network:
            # Else whoever asks would try the ports of such a host through us.
            raise OriginFailed(f"{page.authority} is not at a port that its source may name")

    def fetch_prefix(
        self,
        source: Source,
        url: str,
        *,
        timeout: float,
        size: int,
        check_redirect: Callable[[str], None] = lambda _: None,
    ) -> Page:
        """Return the first ``size`` bytes, after decompression, of what is at ``url``: no more is read.

        Redirects may lead to any host, but to one that is neither the URL's own nor among ``source.allowed_hosts`` only
        at a public address.

        Raises:
            LookupFailed: as ``fetch``.

        """
        try:
            url = normalize_url(url)
        except InvalidUrl as error:
            raise OriginFailed(f"{_line(url)!r} cannot be asked for: {error}") from error
        page = _endpoint_of(url)
        home = None if source.id_selects_host else _endpoint_of(source.page_url.replace("{id}", ""))
        errand = _Errand(source, url, page, home, {}, size)
        beginning = _within(timeout, page, lambda: self._follow(errand, timeout, check_redirect))
        if beginning is None:
            raise AssertionError("no condition, and yet not modified")
        return beginning

    def _follow(self, errand: "_Errand", timeout: float, may_follow: Callable[[str], None]) -> Page | None:
        """Ask for the page, and for where its redirects lead."""
        url, endpoint, status = errand.url, errand.endpoint, 0
        for _ in range(_MAX_REDIRECTS + 1):
            answer: requests.Response | None = None
            try:
                answer = self._send(errand, url, endpoint, timeout)
                if errand.means_something(answer.status_code):
                    raise self._refusal(errand.source, endpoint, answer)
                if errand.conditions and answer.status_code == http.HTTPStatus.NOT_MODIFIED:
                    return None
                if not answer.is_redirect:
                    return self._read_page(errand, url, endpoint, answer)
                status = answer.status_code
                url, endpoint = errand.redirected(url, endpoint, answer)
                may_follow(url)
            except requests.Timeout:
                raise
            except requests.RequestException as error:
                raise _failure(endpoint, error, answer) from error
            finally:
                # An answer that has come whole gives its connection back, whether it was read or not.
                if answer is not None:
                    answer.raw.close()
        raise OriginFailed(f"{errand.endpoint.authority} redirects more than {_MAX_REDIRECTS} times", status=status)

    def _send(self, errand: "_Errand", url: str, endpoint: Endpoint, timeout: float) -> requests.Response:
        request = requests.PreparedRequest()
        request.method, request.url = "GET", url
        request.headers = self._headers  # which nobody changes
        if further := errand.headers_for(endpoint):
            request.headers = HeaderFields({**self._fields, **further})
        transport = TransportAdapter(
            pool=self._connections, max_bytes=errand.max_bytes, private_network=errand.may_be_private(endpoint)
        )
        return transport.send(request, stream=True, timeout=(timeout, None))

    def _read_page(self, errand: "_Errand", url: str, endpoint: Endpoint, answer: requests.Response) -> Page:
        if answer.status_code != http.HTTPStatus.OK:
            raise self._refusal(errand.source, endpoint, answer)
        body = answer.raw.read(errand.size, decode_content=True)
        charset = _CHARSET.search(answer.headers.get("Content-Type", ""))
        validators = Validators(etag=_validator(answer, "ETag"), last_modified=_validator(answer, "Last-Modified"))
        return Page(url=url, body=body, charset=charset[1] if charset else None, validators=validators)

    def _refusal(self, source: Source, endpoint: Endpoint, answer: requests.Response) -> LookupFailed:
        """Return the error for an answer that is no page."""
        status = answer.status_code
        text = f"{endpoint.authority} answered {status} {_line(answer.reason or '')}".rstrip()
        retry_after = answer.headers.get("Retry-After")
        outcome = source.outcome_for_status(status) or _outcome(status, asks_to_wait=retry_after is not None)
        if outcome is Outcome.ORIGIN_FAILED and status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            return OriginDown(text, status=status)
        if outcome is Outcome.NO_SUCH_ITEM:
            text = f"no such item: {text}"
        return error_for_outcome(outcome, text, status=status, retry_after=self._seconds(retry_after))

    def _seconds(self, retry_after: str | None) -> float:
        """Read Retry-After (RFC 9110, 10.2.3), seconds or a date; 0 where it says nothing that can be read."""
        text = (retry_after or "").strip()
        if text.isascii() and text.isdigit():
            seconds = float(text)
        else:
            try:
                seconds = email.utils.parsedate_to_datetime(text).timestamp() - self._wall()
            except (ValueError, OverflowError):
                return 0.0
        return min(max(seconds, 0.0), _MAX_RETRY_AFTER)


class _Errand(msgspec.Struct, frozen=True):
    """What is asked for, on whose behalf: a whole page, or the first ``size`` bytes of something.

    The source's headers, which may be its keys, are for ``home`` alone.
    """

    source: Source
    url: str
    endpoint: Endpoint
    home: Endpoint | None
    conditions: dict[str, str]
    size: int | None = None

    @property
    def max_bytes(self) -> int:
        # Bytes that cannot be compressed are more after it: room for that, though no more than needed is read.
        return self.source.max_page if self.size is None else 2 * self.size + 1024

    def headers_for(self, endpoint: Endpoint) -> dict[str, str]:
        home = self.home
        # Nor in the clear if they were not.
        if home is None or not endpoint.is_same_host(home) or endpoint.scheme not in {home.scheme, "https"}:
            return self.conditions
        return {**self.conditions, **self.source.headers}

    def means_something(self, status: int) -> bool:
        """Tell whether the source has a word for this status of a page."""
        return status != http.HTTPStatus.OK and self.size is None and self.source.outcome_for_status(status) is not None

    def is_known(self, endpoint: Endpoint) -> bool:
        return endpoint.is_same_host(self.endpoint) or _is_allowed(endpoint, self.source)

    def may_be_private(self, endpoint: Endpoint) -> bool:
        return self.source.private_network and (self.size is None or self.is_known(endpoint))

    def redirected(self, url: str, endpoint: Endpoint, answer: requests.Response) -> tuple[str, Endpoint]:
        """Return where a redirect leads, if it may lead there."""
        target = answer.headers["Location"].encode("latin-1").decode("utf-8", "replace")
        try:
            if len(target) <= _MAX_URL and len(target := normalize_url(urljoin(url, target))) <= _MAX_URL:
                there, _ = parse_url(target)
                if self.size is not None or self.is_known(there):
                    return target, there
        except (ValueError, InvalidUrl):
            pass
        raise OriginFailed(
            f"{endpoint.authority} redirects to {_line(target)!r}, which is not allowed", status=answer.status_code
        )


def _within(timeout: float, endpoint: Endpoint, work: Callable[[], _T]) -> _T:
    timer = gevent.Timeout.start_new(timeout)
    try:
        return work()
    except (gevent.Timeout, requests.Timeout) as expired:
        if isinstance(expired, gevent.Timeout) and expired is not timer:
            raise
        raise TooSlow(f"{endpoint.authority} took longer than {timeout:g} seconds") from None
    finally:
        timer.close()
        del timer  # which has been raised, maybe: then its traceback leads to this frame, and to the page


def _endpoint_of(url: str) -> Endpoint:
    try:
        return parse_url(url)[0]
    except InvalidUrlError as error:
        raise OriginFailed(f"{_line(url)!r} cannot be asked for") from error


def _failure(endpoint: Endpoint, error: requests.RequestException, answer: requests.Response | None) -> OriginFailed:
    # A certificate that is not trusted will not be at the next try; requests has it among what breaks a connection.
    may_pass = isinstance(error, requests.ConnectionError) and not isinstance(error, requests.exceptions.SSLError)
    kind = OriginDown if may_pass else OriginFailed
    return kind(f"{endpoint.authority}: {_line(str(error))}", status=0 if answer is None else answer.status_code)


def _outcome(status: int, *, asks_to_wait: bool) -> Outcome:
    """Return what a status that is not 200 stands for (RFC 9110, 15)."""
    match status:
        case 404 | 410:
            return Outcome.NO_SUCH_ITEM
        case 401 | 403 | 451:
            return Outcome.BLOCKED
        case 429:
            return Outcome.THROTTLED
        case 503 if asks_to_wait:
            return Outcome.THROTTLED
        case _:
            return Outcome.ORIGIN_FAILED


def _validator(answer: requests.Response, name: str) -> str:
    """Return a validator that can be sent back; one that is too long or no text is none."""
    text: str = answer.headers.get(name, "")
    return text if len(text) <= _MAX_VALIDATOR and text.isascii() and text.isprintable() else ""


def _conditions(validators: Validators | None) -> dict[str, str]:
    """Return the headers of a conditional request (RFC 9110, 13.1)."""
    if validators is None:
        return {}
    conditions = {"If-None-Match": validators.etag, "If-Modified-Since": validators.last_modified}
    return {name: value for name, value in conditions.items() if value}


def _is_allowed(endpoint: Endpoint, source: Source) -> bool:
    return any(_fits(endpoint.host, pattern) for pattern in source.allowed_hosts)


def _fits(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _line(text: str) -> str:
    """Return an origin's words so that they can stand in a line of ours."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))[:200]
