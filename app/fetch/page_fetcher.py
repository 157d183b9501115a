"""Fetches one page from an origin server, within limits of time and size.

The exceptions of the requests library are mapped to domain errors here. Fetches share connections, but no other state:
there are no cookies, and no proxies or passwords from the environment.
"""

import http
import re
from collections.abc import Callable

import msgspec
import requests

from app.config.source import Source
from app.domain.errors import OriginDown, OriginFailed
from app.domain.records import Outcome
from app.domain.url import InvalidUrl, normalize_url
from app.fetch.connection_pool import ConnectionPool
from app.fetch.error_text import printable_line
from app.fetch.header_fields import HeaderFields
from app.fetch.http_request import Endpoint, InvalidUrlError, parse_url
from app.fetch.redirects import MAX_REDIRECTS, is_allowed_host, resolve_redirect
from app.fetch.request_timer import RequestTimer
from app.fetch.status_mapping import error_for_response
from app.fetch.transport import TransportAdapter

_MAX_VALIDATOR = 256  # characters
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([A-Za-z0-9._:-]+)""", re.IGNORECASE | re.ASCII)


class Validators(msgspec.Struct, frozen=True, kw_only=True):
    """The ETag and Last-Modified of a page (RFC 9110, 8.8). Each is empty if the page has none that is usable."""

    etag: str = ""
    last_modified: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A fetched page: its final URL, its decompressed body, and the charset of its Content-Type."""

    url: str
    body: bytes
    status: int = 200
    charset: str | None = None
    validators: Validators = Validators()


class PageFetcher:
    """Fetches pages over the connections of a pool, which all greenlets of a process share.

    ``wall_clock`` returns seconds since the epoch. Dates in Retry-After are compared with this time.
    """

    def __init__(self, *, user_agent: str, wall_clock: Callable[[], float], pool: ConnectionPool | None = None) -> None:
        self._pool = ConnectionPool() if pool is None else pool
        self._default_fields = {"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "gzip"}
        self._default_headers = HeaderFields(self._default_fields)
        self._wall_clock = wall_clock

    def fetch(
        self,
        source: Source,
        url: str,
        *,
        timer: RequestTimer,
        validators: Validators | None = None,
        follow: Callable[[str], None] = lambda _: None,
    ) -> Page | None:
        """Return the complete page at ``url``, following redirects.

        ``timer`` limits the time of the requests. With ``validators`` the requests are conditional, and the result None
        means that the page has not been modified. ``follow`` is called with the target URL of each redirect before the
        target is requested. ``follow`` may raise. It may also wait, and the wait does not count as time of a request.

        Raises:
            NoSuchItem: status 404 or 410.
            Blocked: status 401, 403 or 451.
            Throttled: status 429, or 503 with Retry-After.
            OriginDown: no connection, a broken connection, or another 5xx status. A retry may succeed.
            TooSlow: the time of ``timer`` is over.
            OriginFailed: the response is invalid or too large, or a host, address or redirect is not allowed.
            Overloaded: too many DNS lookups are in progress.
            LookupFailed: the error that the response patterns of ``source`` assign to the status.

        """
        endpoint = _endpoint_of(url)
        self.check(source, url)
        trusted = endpoint if source.id_selects_host else _page_url_endpoint(source)
        return self._fetch(_PageRequest(source, url, endpoint, trusted, _conditions(validators)), timer, follow)

    def check(self, source: Source, url: str) -> None:
        """If ids select the host, check that ``source`` allows the host and port of ``url``. Raises OriginFailed."""
        if not source.id_selects_host:
            return
        endpoint = _endpoint_of(url)
        if not is_allowed_host(endpoint, source):
            raise OriginFailed(f"{endpoint.authority} is not a host that the source allows")
        if not endpoint.has_default_port and not source.private_network:
            # Clients could otherwise use this service to scan the ports of an allowed host.
            raise OriginFailed(f"{endpoint.authority} has a port that the source does not allow")

    def fetch_prefix(
        self,
        source: Source,
        url: str,
        *,
        timer: RequestTimer,
        size: int,
        follow: Callable[[str], None] = lambda _: None,
    ) -> Page:
        """Return the first ``size`` bytes, after decompression, of the resource at ``url``, without reading the rest.

        Redirects may lead to any host. The host must have a public address, unless ``source.private_network`` is set
        and the host is that of ``url`` or one of ``source.allowed_hosts``. ``timer`` and ``follow`` are those of
        ``fetch``.

        Raises:
            LookupFailed: one of the errors of ``fetch``. The response patterns of ``source`` do not apply, because they
                describe its pages.
            Overloaded: too many DNS lookups are in progress.

        """
        try:
            url = normalize_url(url)
        except InvalidUrl as error:
            raise OriginFailed(f"{printable_line(url)!r} cannot be fetched: {error}") from error
        trusted = None if source.id_selects_host else _page_url_endpoint(source)
        request = _PageRequest(source, url, _endpoint_of(url), trusted, {}, size)
        page = self._fetch(request, timer, follow)
        if page is None:
            raise AssertionError("a request without conditions cannot return a page that was not modified")
        return page

    def _fetch(self, request: "_PageRequest", timer: RequestTimer, follow: Callable[[str], None]) -> Page | None:
        url, endpoint, redirects = request.url, request.endpoint, 0
        while True:
            result = timer.call(endpoint.authority, self._request, request, url, endpoint, timer.seconds_left)
            if not isinstance(result, _Redirect):
                return result
            if redirects == MAX_REDIRECTS:
                text = f"{request.endpoint.authority} redirects more than {MAX_REDIRECTS} times"
                raise OriginFailed(text, status=result.status)
            redirects += 1
            url, endpoint = result.url, result.endpoint
            follow(url)

    def _request(
        self, request: "_PageRequest", url: str, endpoint: Endpoint, timeout: float
    ) -> "Page | _Redirect | None":
        """Send one request. Return the page, or the redirect, or None if the page has not been modified."""
        response: requests.Response | None = None
        try:
            response = self._send(request, url, endpoint, timeout)
            outcome = request.outcome_for_status(response.status_code)
            if outcome is not None:
                raise error_for_response(outcome, endpoint, response, self._wall_clock())
            if request.conditions and response.status_code == http.HTTPStatus.NOT_MODIFIED:
                return None
            if not response.is_redirect:
                return self._read_page(request, url, endpoint, response)
            target, target_endpoint = resolve_redirect(response, url, endpoint, is_allowed=request.allows_redirect_to)
            return _Redirect(target, target_endpoint, response.status_code)
        except requests.Timeout:
            raise
        except requests.RequestException as error:
            raise _to_domain_error(endpoint, error, response) from error
        finally:
            # Returns the connection to the pool if the response is complete, even if nobody has read the body.
            if response is not None:
                response.raw.close()

    def _send(self, request: "_PageRequest", url: str, endpoint: Endpoint, timeout: float) -> requests.Response:
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url = "GET", url
        prepared.headers = self._default_headers  # immutable, so all requests share them
        if extra_fields := request.extra_fields_for(endpoint):
            prepared.headers = HeaderFields({**self._default_fields, **extra_fields})
        transport = TransportAdapter(
            pool=self._pool, max_bytes=request.max_bytes, private_network=request.allows_private_network(endpoint)
        )
        return transport.send(prepared, stream=True, timeout=(timeout, None))

    def _read_page(self, request: "_PageRequest", url: str, endpoint: Endpoint, response: requests.Response) -> Page:
        if response.status_code != http.HTTPStatus.OK:
            raise error_for_response(None, endpoint, response, self._wall_clock())
        body = response.raw.read(request.prefix_size, decode_content=True)
        charset = _CHARSET.search(response.headers.get("Content-Type", ""))
        validators = Validators(etag=_validator(response, "ETag"), last_modified=_validator(response, "Last-Modified"))
        return Page(url=url, body=body, charset=charset[1] if charset else None, validators=validators)


class _Redirect(msgspec.Struct, frozen=True):
    """The target of a redirect, and the status of the response that redirected."""

    url: str
    endpoint: Endpoint
    status: int


class _PageRequest(msgspec.Struct, frozen=True):
    """A request for a whole page, or for the first ``prefix_size`` bytes of a resource.

    The source's header fields, which may contain credentials, are sent only to the host of ``trusted_endpoint``.
    ``conditions`` are the fields of a conditional request.
    """

    source: Source
    url: str
    endpoint: Endpoint
    trusted_endpoint: Endpoint | None
    conditions: dict[str, str]
    prefix_size: int | None = None

    @property
    def max_bytes(self) -> int:
        # Compression makes incompressible data larger, so a compressed prefix may have more bytes than the prefix.
        return self.source.max_page if self.prefix_size is None else 2 * self.prefix_size + 1024

    def extra_fields_for(self, endpoint: Endpoint) -> dict[str, str]:
        """Return the header fields to send to ``endpoint`` besides those of every request."""
        trusted = self.trusted_endpoint
        # After a redirect from https to http, the fields of the source would be sent unencrypted.
        if trusted is None or not endpoint.is_same_host(trusted) or endpoint.scheme not in {trusted.scheme, "https"}:
            return self.conditions
        return {**self.conditions, **self.source.headers}

    def outcome_for_status(self, status: int) -> Outcome | None:
        """Return the outcome that a response pattern of the source assigns to this status of a page, or None."""
        if status == http.HTTPStatus.OK or self.prefix_size is not None:
            return None
        return self.source.outcome_for_status(status)

    def allows_redirect_to(self, endpoint: Endpoint) -> bool:
        return self.prefix_size is not None or self._is_known_host(endpoint)

    def allows_private_network(self, endpoint: Endpoint) -> bool:
        return self.source.private_network and (self.prefix_size is None or self._is_known_host(endpoint))

    def _is_known_host(self, endpoint: Endpoint) -> bool:
        return endpoint.is_same_host(self.endpoint) or is_allowed_host(endpoint, self.source)


def _endpoint_of(url: str) -> Endpoint:
    try:
        return parse_url(url)[0]
    except InvalidUrlError as error:
        raise OriginFailed(f"{printable_line(url)!r} cannot be fetched: {error}") from error


def _page_url_endpoint(source: Source) -> Endpoint:
    return _endpoint_of(source.page_url.replace("{id}", ""))


def _to_domain_error(
    endpoint: Endpoint, error: requests.RequestException, response: requests.Response | None
) -> OriginFailed:
    # SSLError is a subclass of ConnectionError, but a retry does not make a certificate trusted.
    may_retry = isinstance(error, requests.ConnectionError) and not isinstance(error, requests.exceptions.SSLError)
    error_class = OriginDown if may_retry else OriginFailed
    status = 0 if response is None else response.status_code
    return error_class(f"{endpoint.authority}: {printable_line(str(error))}", status=status)


def _validator(response: requests.Response, name: str) -> str:
    """Return a validator, or an empty text if it is missing, too long or not printable ASCII."""
    text: str = response.headers.get(name, "")
    return text if len(text) <= _MAX_VALIDATOR and text.isascii() and text.isprintable() else ""


def _conditions(validators: Validators | None) -> dict[str, str]:
    """Return the header fields of a conditional request (RFC 9110, 13.1)."""
    if validators is None:
        return {}
    conditions = {"If-None-Match": validators.etag, "If-Modified-Since": validators.last_modified}
    return {name: value for name, value in conditions.items() if value}
