"""An HTTP session: the requests of one connection, one after the other.

Each request is served by the first of three paths that is possible:

1. Cached response: an identical request has been served before, and the application allows the reuse of the response.
   Neither gunicorn nor the application runs. This path is disabled if requests have to be reported, for example in an
   access log.
2. Cached head: the whole request has arrived, and an identical head has been parsed before. The application is called
   with the earlier results of gunicorn's parser.
3. Parser: gunicorn parses the head, creates the environ and handles errors.
"""

import http
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData

from app.server.connection import BodyError, Connection
from app.server.request_head_cache import CachedHead, HeadCache, Parser, Request
from app.server.response import Response, http_date

#: A request with a cached head is received in full before it is served, if it has at most this many bytes.
_MAX_BUFFERED_REQUEST = 8192

_KEEP_ALIVE, _CLOSE = b"\r\nConnection: keep-alive\r\n", b"\r\nConnection: close\r\n"


class SessionWorker(Protocol):
    """The part of the gunicorn worker that a session uses. Attributes without a comment are gunicorn's own."""

    cfg: Any
    log: Any
    wsgi: Any
    #: gunicorn's server hooks.
    pre_request: Callable[..., object]
    post_request: Callable[..., object]
    #: Whether the logger's access() has an effect.
    is_access_logged: bool
    #: Whether requests may be served without being reported to the log and to hooks.
    can_reuse_responses: bool

    def accepts_requests(self) -> bool:
        """Return whether a connection may stay open for another request."""

    def count_request(self) -> None:
        """Count a request towards ``max_requests``."""

    def is_already_handled(self, respiter: Any) -> bool:
        """Return whether the application has taken over the connection."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Log an error and send an error response."""


class HttpSession:
    """Serves the requests of a connection until it ends.

    ``server_address`` and ``client_address`` are socket addresses. ``head_cache`` is the cache for this listener and
    for clients with the same trust as this client. If it is None, all heads are parsed.
    """

    def __init__(
        self,
        worker: SessionWorker,
        connection: Connection,
        *,
        server_address: Any,
        client_address: Any,
        head_cache: HeadCache | None,
    ) -> None:
        self._worker = worker
        self._connection = connection
        self._server_address = server_address
        self._client_address = client_address
        self._head_cache = head_cache
        self._previous_head: CachedHead | None = None
        self._parser = Parser(worker.cfg, connection, client_address)
        self._proxy_info: dict[str, Any] = {}
        self._started_at = datetime.min  # noqa: DTZ901 - set before each call of the application if calls are logged

    def run(self) -> None:
        """Serve the requests in order until the connection ends."""
        buffered: bytes | None = b""
        while buffered is not None and (received := self._connection.next_request(buffered)):
            buffered = self._serve(received)

    def _serve(self, received: bytes) -> bytes | None:
        """Serve the request at the start of ``received``.

        Return the bytes received after the request, or None to close the connection. The method for each path returns
        the same.
        """
        if (response := self._find_response(received)) is not None:
            return self._send_cached_response(response, b"")
        head = None if self._head_cache is None else self._head_cache.find(received, self._previous_head)
        if head is None:
            return self._serve_with_parser(received)
        received_at_first = len(received)
        if received_at_first < head.request_length <= _MAX_BUFFERED_REQUEST:  # many clients send the body later
            received = self._connection.receive_until(received, head.request_length)
        if len(received) < head.request_length:
            return self._serve_with_parser(received)
        if received_at_first != head.request_length:  # otherwise the look-up above had the same key
            response = self._find_response(received[: head.request_length])
            if response is not None:
                return self._send_cached_response(response, received[head.request_length :])
        return self._serve_with_cached_head(head, received)

    def _find_response(self, request: bytes) -> bytes | None:
        """Return a valid cached response to this request, ready to be sent."""
        if self._head_cache is None or not self._worker.can_reuse_responses:
            return None
        cached = self._head_cache.responses.get(request)
        if cached is None:
            return None
        before_date, before_value, after_value, next_value = cached
        try:
            value = next_value()
        except Exception:
            self._worker.log.exception("Error checking whether a cached response is valid")
            value = None
        if value is not None:
            return b"".join((before_date, http_date(), before_value, value, after_value))
        self._head_cache.responses.drop(request)
        return None

    def _send_cached_response(self, response: bytes, rest: bytes) -> bytes | None:
        worker = self._worker
        worker.count_request()
        keep_alive = worker.accepts_requests()
        try:
            self._connection.sendall(response if keep_alive else response.replace(_KEEP_ALIVE, _CLOSE, 1))
        except OSError as error:
            worker.log.debug("Closing connection. %s", error)
            return None
        return self._end_request(rest, keep_alive=keep_alive)

    def _serve_with_cached_head(self, head: CachedHead, received: bytes) -> bytes | None:
        worker, connection, client_address = self._worker, self._connection, self._client_address
        self._previous_head = head
        request = head.request(received, client_address)
        response = Response(request, connection, worker.cfg, worker.accepts_requests)
        worker.pre_request(worker, request)
        send_early_hints = wsgi._make_early_hints_callback(request, connection, response)  # noqa: SLF001 - as create()
        environ = {
            **head.environ,
            "wsgi.input": request.body,
            "gunicorn.socket": connection.socket,
            "REMOTE_ADDR": client_address[0],
            "REMOTE_PORT": str(client_address[1]),
            "wsgi.early_hints": send_early_hints,
            "covers.cache_response": response.allow_caching,
        }
        keep_alive = self._call_application(request, response, environ)
        if keep_alive and response.cacheable is not None and self._head_cache is not None:
            self._head_cache.responses.put(received[: head.request_length], response.cacheable)
        return self._end_request(received[head.request_length :], keep_alive=keep_alive)

    def _serve_with_parser(self, received: bytes) -> bytes | None:
        worker, connection, parser = self._worker, self._connection, self._parser
        parser.unreader.unread(received)
        request: Request | None = None
        try:
            request = next(parser)
            connection.begin_body(expects_continue=request.take_continue_expectation())
            # The PROXY header is sent once per connection.
            request.proxy_protocol_info = self._proxy_info = request.proxy_protocol_info or self._proxy_info
            worker.pre_request(worker, request)
            response, environ = wsgi.create(
                request,
                connection,
                self._client_address,
                self._server_address,
                worker.cfg,
                response_class=Response,
                response_args=(worker.accepts_requests,),
            )
        except (StopIteration, NoMoreData):
            return None
        except BaseException as error:  # noqa: BLE001 - gunicorn's errors have no common class; hooks may raise any
            self._send_gunicorn_error(request, error)
            return None
        environ["gunicorn.socket"] = connection.socket
        environ["wsgi.multithread"] = True
        if self._head_cache is not None:
            self._head_cache.store(received, request, environ)
        keep_alive = self._call_application(request, response, environ) and parser.finish_body()
        rest: bytes = parser.unreader.take_buffered()
        if not keep_alive:
            connection.has_unread_input |= request.is_body_incomplete()
        return self._end_request(rest, keep_alive=keep_alive)

    def _end_request(self, rest: bytes, *, keep_alive: bool) -> bytes | None:
        """Return the result of ``_serve``. ``rest`` are the bytes received after the request."""
        if keep_alive:
            return rest
        self._connection.has_unread_input |= bool(rest)
        return None

    def _call_application(self, request: Request, response: Response, environ: dict[str, Any]) -> bool:
        """Call the application and send its response. Returns whether the connection stays open."""
        worker = self._worker
        if worker.is_access_logged:
            self._started_at = datetime.now()  # noqa: DTZ005 - only a difference is taken
        worker.count_request()
        try:
            chunks = worker.wsgi(environ, response.start_response)
            if worker.is_already_handled(chunks):
                return True
            try:
                for chunk in chunks:
                    response.write(chunk)
                response.close()
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()
        except BaseException as error:  # noqa: BLE001 - any error needs a response and a line in the log
            self._handle_failure(request, response, environ, error)
            return False
        else:
            self._log_access(request, response, environ)
        finally:
            try:
                worker.post_request(worker, request, environ, response)
            except Exception:
                worker.log.exception("Exception in post_request hook")
        return not response.must_close

    def _log_access(self, request: Request, response: Response, environ: dict[str, Any]) -> None:
        if self._worker.is_access_logged:
            duration = datetime.now() - self._started_at  # noqa: DTZ005 - as above
            self._worker.log.access(response, request, environ, duration)

    def _handle_failure(
        self, request: Request, response: Response, environ: dict[str, Any], error: BaseException
    ) -> None:
        """Log an error that the application has raised, and send an error response if that is still possible.

        The state of the connection shows whether the client caused the error. The class of the error does not, because
        applications may raise an OSError of their own.
        """
        log = self._worker.log
        if self._connection.is_broken:
            log.debug("Closing connection. %s", error)
        elif response.headers_sent:
            log.error("Error handling request", exc_info=error)
        elif isinstance(error, BodyError):
            self._send_error(response, error.status)
        elif getattr(request.body, "failed", False):
            self._send_gunicorn_error(request, error)
            return  # gunicorn has written the access log
        else:
            log.error("Error handling request %s %s", request.method, request.uri, exc_info=error)
            self._send_error(response, http.HTTPStatus.INTERNAL_SERVER_ERROR)
        self._log_access(request, response, environ)

    def _send_error(self, response: Response, status: http.HTTPStatus) -> None:
        response.status, response.headers = f"{status.value} {status.phrase}", []  # for the access log
        body = f"{status.phrase}\n"
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            self._connection.sendall(f"{head}{body}".encode())
        except OSError as error:
            self._worker.log.debug("Closing connection. %s", error)

    def _send_gunicorn_error(self, request: Request | None, error: BaseException) -> None:
        """Let gunicorn log an error and send the response."""
        self._connection.has_unread_input = True
        if not self._connection.is_broken:
            self._worker.handle_error(request, self._connection, self._client_address, error)
