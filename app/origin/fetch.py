"""The only import of requests: a page of an origin within its limits, or a domain error.

Foreign exceptions end here, each mapped once. Nothing of one page is left for the next: no cookies, no proxies or
passwords from the environment.
"""

import email.utils
import http.client
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import gevent
import requests
import urllib3
from requests.adapters import HTTPAdapter

from app.errors import Blocked, NoSuchItem, OriginError, OriginFailed, Throttled, TooSlow
from app.origin.chunked import ChunkedError, read_chunked
from app.origin.gate import Gate
from app.origin.page import Page, Validators
from app.source import Source

_MAX_REDIRECTS = 5
_MAX_RETRY_AFTER = 86_400.0
_MAX_VALIDATOR = 256
_CHUNK = 65_536
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([A-Za-z0-9._:-]+)""", re.IGNORECASE | re.ASCII)


class Fetcher:
    """Fetches pages over connections that are kept and shared by the greenlets of one process.

    ``pool_size`` connections are kept per host; ``wall`` tells seconds since the epoch, for dates in Retry-After.
    """

    def __init__(self, *, gate: Gate, user_agent: str, pool_size: int, wall: Callable[[], float]) -> None:
        self._gate = gate
        self._user_agent = user_agent
        self._wall = wall
        # The adapter alone is asked: a Session would read the bodies of redirects, and keep cookies.
        self._adapter = HTTPAdapter(pool_connections=64, pool_maxsize=pool_size, max_retries=0)

    def fetch(
        self, name: str, source: Source, url: str, patience: float, validators: Validators | None = None
    ) -> Page | None:
        """Return the page at ``url`` of the source ``name``, after at most ``patience`` seconds of waiting at the gate.

        With ``validators`` it is asked for on the condition that it has changed; None says that it has not.

        Raises:
            NoSuchItem: 404 or 410.
            Blocked: 401, 403 or 451.
            Throttled: 429, or 503 with Retry-After.
            TooSlow: not there whole within the source's timeout, all tries and redirects included.
            OriginFailed: anything else that is no page.
            Overloaded: the wait at the gate was too long.

        """
        if source.page_url.names_host and not _is_allowed(urlsplit(url).hostname or "", source):
            raise OriginFailed(f"{_host(url)} is none of the hosts that {name} may name")
        with self._gate.admitted(name, source.concurrency, patience):
            timer = gevent.Timeout.start_new(source.timeout)
            try:
                return self._try_repeatedly(source, url, _conditions(validators))
            except gevent.Timeout as expired:
                if expired is not timer:
                    raise
                raise TooSlow(f"{_host(url)} took longer than {source.timeout:g} seconds") from None
            finally:
                timer.close()

    def _try_repeatedly(self, source: Source, url: str, conditions: dict[str, str]) -> Page | None:
        for _ in range(source.retries):
            try:
                return self._follow(source, url, conditions)
            except _Passing:
                continue
        return self._follow(source, url, conditions)

    def _follow(self, source: Source, url: str, conditions: dict[str, str]) -> Page | None:
        """Ask for the page, and for where its redirects lead."""
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._send(source, url, conditions)
            try:
                if conditions and answer.status_code == http.HTTPStatus.NOT_MODIFIED:
                    answer.raw.release_conn()  # it has no body that would have to be read first
                    return None
                if not answer.is_redirect:
                    return self._read_page(source, url, answer)
                url = _redirected(url, answer.headers["Location"], source)
            except (OSError, urllib3.exceptions.HTTPError) as error:
                raise _Passing(f"{_host(url)}: {_reason(error)}") from error
            finally:
                # A body that was read to its end has given its connection back already; the others lose theirs.
                answer.raw.close()
        raise OriginFailed(f"{_host(url)} redirects more than {_MAX_REDIRECTS} times")

    def _send(self, source: Source, url: str, conditions: dict[str, str]) -> requests.Response:
        headers = {"User-Agent": self._user_agent, "Accept": "*/*", "Accept-Encoding": "gzip"} | conditions
        # Not to a host that a redirect led to, nor in the clear if they were not: the source's headers may be its keys.
        here, there = urlsplit(source.page_url), urlsplit(url)
        if source.page_url.names_host or (_same_host(here, there) and there.scheme in {here.scheme, "https"}):
            headers |= source.headers
        try:
            request = requests.Request("GET", url, headers=headers).prepare()
            return self._adapter.send(request, stream=True)
        except (requests.ConnectionError, requests.Timeout, OSError) as error:
            raise _Passing(f"{_host(url)}: {_reason(error)}") from error
        except (ValueError, urllib3.exceptions.HTTPError) as error:  # what requests does not map: a URL or a header
            raise OriginFailed(f"{_host(url)}: {_reason(error)}") from error

    def _read_page(self, source: Source, url: str, answer: requests.Response) -> Page:
        if answer.status_code != http.HTTPStatus.OK:
            raise self._refusal(url, answer)
        charset = _CHARSET.search(answer.headers.get("Content-Type", ""))
        try:
            body = b"".join(_decoded(answer, source.max_page))
        except _PageError as error:
            raise OriginFailed(f"{_host(url)}: {error}") from error
        validators = Validators(etag=_validator(answer, "ETag"), last_modified=_validator(answer, "Last-Modified"))
        return Page(url=url, body=body, charset=charset[1] if charset else None, validators=validators)

    def _refusal(self, url: str, answer: requests.Response) -> OriginError | NoSuchItem:
        """Return the error for an answer that is no page."""
        status = answer.status_code
        text = f"{_host(url)} answered {status} {_line(answer.reason or '')}".rstrip()
        retry_after = answer.headers.get("Retry-After")
        match status:
            case 404 | 410:
                return NoSuchItem(f"no such item: {text}")
            case 401 | 403 | 451:
                return Blocked(text)
            case 429:
                return Throttled(text, self._seconds(retry_after))
            case 503 if retry_after is not None:
                return Throttled(text, self._seconds(retry_after))
            case _ if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
                return _Passing(text)
            case _:
                return OriginFailed(text)

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


class _Passing(OriginFailed):
    """A failure that may be over at the next try: no connection, a broken one, or a 5xx."""


class _PageError(Exception):
    """The answer's body is not one that can be a page."""


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


def _decoded(answer: requests.Response, limit: int) -> Iterator[bytes]:
    """Yield the body's bytes after decompression, at most ``limit`` of them."""
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        yield from _received(answer, limit)
        return
    if encoding not in {"gzip", "x-gzip"}:
        raise _PageError(f"a page in an encoding that was not asked for: {encoding[:40]!r}")
    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    left = limit
    for chunk in _received(answer, limit):
        try:
            data = inflate.decompress(chunk, left + 1)
        except zlib.error as error:
            raise _PageError("a page that is not the gzip it claims to be") from error
        left -= len(data)
        if left < 0:
            raise _PageError(f"a page of more than {limit} bytes")
        yield data
    if not inflate.eof:
        raise _PageError("a page that ends in the middle of its gzip")


def _received(answer: requests.Response, limit: int) -> Iterator[bytes]:
    """Yield the body's bytes as sent; let others run in between, since a fast peer never makes a socket wait."""
    received = 0
    for chunk in _transferred(answer):
        received += len(chunk)
        if received > limit:
            raise _PageError(f"a page of more than {limit} bytes")
        yield chunk
        gevent.sleep(0)


def _transferred(answer: requests.Response) -> Iterator[bytes]:
    """Yield the body's bytes as its transfer coding has them (RFC 9112, 6.3)."""
    coding = answer.headers.get("Transfer-Encoding", "").strip().lower()
    if coding == "chunked":
        original: Any = answer.raw._original_response  # noqa: SLF001 - urllib3 has no other way to its stream
        try:
            yield from read_chunked(original.fp, _CHUNK)
        except ChunkedError as error:
            raise _PageError(str(error)) from error
        original.close()
        answer.raw.release_conn()
        return
    if coding:
        raise _PageError(f"a page in a transfer coding that was not asked for: {coding[:40]!r}")
    if not answer.headers.get("Content-Length", "").isdigit():
        raise _PageError("a page without a length, whose end cannot be told from a cut")
    try:
        yield from answer.raw.stream(_CHUNK, decode_content=False)
    except urllib3.exceptions.ProtocolError as error:
        if isinstance(_bottom(error), urllib3.exceptions.IncompleteRead):
            raise _PageError("a page that breaks off in the middle") from error
        raise


def _redirected(url: str, location: str, source: Source) -> str:
    """Return where a redirect leads, if it may lead there."""
    try:
        target = urljoin(url, location.encode("latin-1").decode("utf-8", "replace"))
        here, there = urlsplit(url), urlsplit(target)
        allowed = (
            there.scheme in _DEFAULT_PORTS
            and there.username is None
            and (_same_host(here, there) or _is_allowed(there.hostname or "", source))
        )
    except ValueError:
        allowed, target = False, location
    if not allowed:
        raise OriginFailed(f"{_host(url)} redirects to {target[:200]!r}, which is not allowed")
    return target


def _same_host(here: SplitResult, there: SplitResult) -> bool:
    """Tell whether both are one host at one port, or at the default ports of http and https."""
    ports = [parts.port or _DEFAULT_PORTS[parts.scheme] for parts in (here, there)]
    defaults = [port == _DEFAULT_PORTS[parts.scheme] for port, parts in zip(ports, (here, there), strict=True)]
    return here.hostname == there.hostname and (ports[0] == ports[1] or all(defaults))


def _is_allowed(host: str, source: Source) -> bool:
    return any(_fits(host, pattern) for pattern in source.allowed_hosts)


def _fits(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _bottom(error: BaseException) -> BaseException:
    """Return what lies at the bottom of an exception that others were wrapped around."""
    seen = {id(error)}
    while (inner := _inside(error)) is not None and id(inner) not in seen:
        error = inner
        seen.add(id(error))
    return error


def _reason(error: BaseException) -> str:
    """Return what lies at the bottom of an exception, in one line."""
    error = _bottom(error)
    if type(error) is http.client.BadStatusLine:  # its subclass RemoteDisconnected speaks for itself
        return "an answer that is not HTTP"
    return _line((error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__)


def _line(text: str) -> str:
    """Return an origin's words so that they can stand in a line of ours."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))[:200]


def _inside(error: BaseException) -> BaseException | None:
    reason = getattr(error, "reason", None)  # urllib3's MaxRetryError and NameResolutionError
    if isinstance(reason, BaseException):
        return reason
    inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
    return inner if inner is not None else error.__cause__
