"""What is said on one connection: requests come in, the application answers.

A request goes one of three ways. The parsed way is gunicorn's own: its parser, its environ, its errors. The known way
is for a request that is there whole and whose head is, byte for byte, one that has gone the parsed way: what gunicorn
made of it is remembered. Both lead to the same place, where the application answers. The short way is for a request
that is, byte for byte, one that has gone the known way, to an answer of which the application has said that it may be
given again: it leads to nobody else, so it is closed where somebody is to hear of each request.
"""

import http
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData

from app.server.connection import BodyError, BodyTimeout, Connection
from app.server.head_cache import NO_CACHED_HEAD, CachedHead, HeadCache, Parser, Request
from app.server.response import Response, date

if TYPE_CHECKING:
    from app.server.worker import Worker

#: A known request of so many bytes is waited for before anybody is asked.
_MAX_AWAITED = 8192

_KEEPS, _CLOSES = b"\r\nConnection: keep-alive\r\n", b"\r\nConnection: close\r\n"


class HttpSession:
    """A connection served by a worker until its end.

    ``place`` is the listener's name and ``peer`` the peer's address, both as sockets have them; ``heads`` are those
    that are known to hold for such a peer, if any do.
    """

    def __init__(
        self, worker: "Worker", connection: Connection, *, place: Any, peer: Any, heads: HeadCache | None
    ) -> None:
        self._worker = worker
        self._connection = connection
        self._place = place
        self._peer = peer
        self._heads = heads
        self._head = NO_CACHED_HEAD
        self._parser = Parser(worker.cfg, connection, peer)
        self._proxy: dict[str, Any] = {}
        self._began = datetime.min  # noqa: DTZ901 - when the application was asked, where that is logged

    def run(self) -> None:
        """Answer requests in their order until the connection ends."""
        received: bytes | None = b""
        while received is not None and (received := self._connection.next_request(received)):
            received = self._serve(received)

    def _serve(self, received: bytes) -> bytes | None:
        """Answer the first request of what has been received, the shortest way that it can go.

        As each way, return what has been received beyond it, or None when the connection ends with it.
        """
        if (again := self._find_again(received)) is not None:
            return self._serve_again(again, b"")
        head = None if self._heads is None else self._heads.find(received, self._head)
        if head is None:
            return self._serve_parsed(received)
        at_first = len(received)
        if at_first < head.end <= _MAX_AWAITED:  # many clients send a head and its body apart
            received = self._connection.receive_until(received, head.end)
        if len(received) < head.end:
            return self._serve_parsed(received)
        if at_first != head.end and (again := self._find_again(received[: head.end])) is not None:
            return self._serve_again(again, received[head.end :])
        return self._serve_known(head, received)

    def _find_again(self, received: bytes) -> bytes | None:
        """Return the answer that may be given again, whole."""
        if self._heads is None or (repeat := self._heads.responses.get(received)) is None or self._worker.is_observed:
            return None
        before, between, behind, again = repeat
        try:
            value = again()
        except Exception:
            self._worker.log.exception("Error in what says whether an answer holds")
            value = None
        if value is not None:
            return b"".join((before, date(), between, value, behind))
        self._heads.responses.drop(received)
        return None

    def _serve_again(self, answer: bytes, rest: bytes) -> bytes | None:
        worker = self._worker
        worker.count_request()
        keeps = worker.accepts_requests()
        try:
            self._connection.sendall(answer if keeps else answer.replace(_KEEPS, _CLOSES, 1))
        except OSError as error:
            worker.log.debug("Closing connection. %s", error)
            return None
        if keeps:
            return rest
        self._connection.has_unread_input |= bool(rest)
        return None

    def _serve_known(self, head: CachedHead, received: bytes) -> bytes | None:
        worker, connection, peer = self._worker, self._connection, self._peer
        self._head = head
        request = head.request(received, peer)
        answer = Response(request, connection, worker.cfg, worker.accepts_requests)
        worker.pre_request(worker, request)
        environ = {
            **head.environ,
            "wsgi.input": request.body,
            "gunicorn.socket": connection.socket,
            "REMOTE_ADDR": peer[0],
            "REMOTE_PORT": str(peer[1]),
            "wsgi.early_hints": wsgi._make_early_hints_callback(request, connection, answer),  # noqa: SLF001 - as create
            "worker.repeat": answer.allow_caching,
        }
        keeps = self._answer(request, answer, environ)
        if keeps and answer.cacheable is not None and self._heads is not None:
            self._heads.responses.put(received[: head.end], answer.cacheable)
        rest = received[head.end :]
        if keeps:
            return rest
        connection.has_unread_input |= bool(rest)
        return None

    def _serve_parsed(self, received: bytes) -> bytes | None:
        worker, connection, parser = self._worker, self._connection, self._parser
        parser.unreader.unread(received)
        request: Request | None = None
        try:
            request = next(parser)
            connection.begin_body(is_to_continue=request.take_expectation())
            request.proxy_protocol_info = self._proxy = request.proxy_protocol_info or self._proxy
            worker.pre_request(worker, request)
            answer, environ = wsgi.create(
                request,
                connection,
                self._peer,
                self._place,
                worker.cfg,
                response_class=Response,
                response_args=(worker.accepts_requests,),
            )
        except (StopIteration, NoMoreData):
            return None
        except BaseException as error:  # noqa: BLE001 - gunicorn's have no common class, and a hook may raise anything
            self._refuse_as_gunicorn(request, error)
            return None
        environ["gunicorn.socket"] = connection.socket
        environ["wsgi.multithread"] = True
        if self._heads is not None:
            self._heads.store(received, request, environ)
        keeps = self._answer(request, answer, environ) and parser.finish_body()
        rest: bytes = parser.unreader.take_buffered()
        if keeps:
            return rest
        connection.has_unread_input |= bool(rest) or request.is_body_left()
        return None

    def _answer(self, request: Request, answer: Response, environ: dict[str, Any]) -> bool:
        """Have the application answer; return whether the connection goes on."""
        worker = self._worker
        if worker.is_logged:
            self._began = datetime.now()  # noqa: DTZ005 - only a difference is taken
        worker.count_request()
        try:
            if self._connection.timed_out and request.is_body_left():
                raise BodyTimeout
            chunks = worker.wsgi(environ, answer.start_response)
            if worker.is_already_handled(chunks):
                return True
            try:
                for chunk in chunks:
                    answer.write(chunk)
                answer.close()
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the peer gets an answer, and the log has it
            self._fail(request, answer, environ, error)
            return False
        else:
            self._log_access(request, answer, environ)
        finally:
            try:
                worker.post_request(worker, request, environ, answer)
            except Exception:
                worker.log.exception("Exception in post_request hook")
        return not answer.must_close

    def _log_access(self, request: Request, answer: Response, environ: dict[str, Any]) -> None:
        if self._worker.is_logged:
            self._worker.log.access(answer, request, environ, datetime.now() - self._began)  # noqa: DTZ005 - as above

    def _fail(self, request: Request, answer: Response, environ: dict[str, Any], error: BaseException) -> None:
        """Answer in the place of an application that has failed to.

        Whose fault it is cannot be told by the error's class: an application has OSErrors of its own.
        """
        log = self._worker.log
        if self._connection.is_broken:
            log.debug("Closing connection. %s", error)
        elif answer.headers_sent:
            log.error("Error handling request", exc_info=error)
        elif isinstance(error, BodyError):
            self._refuse(answer, error.status)
        elif getattr(request.body, "failed", False):
            self._refuse_as_gunicorn(request, error)
            return  # which gunicorn has logged
        else:
            log.error("Error handling request %s %s", request.method, request.uri, exc_info=error)
            self._refuse(answer, http.HTTPStatus.INTERNAL_SERVER_ERROR)
        self._log_access(request, answer, environ)

    def _refuse(self, answer: Response, status: http.HTTPStatus) -> None:
        answer.status, answer.headers = f"{status.value} {status.phrase}", []
        body = f"{status.phrase}\n"
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            self._connection.sendall(f"{head}{body}".encode())
        except OSError as error:
            self._worker.log.debug("Closing connection. %s", error)

    def _refuse_as_gunicorn(self, request: Request | None, error: BaseException) -> None:
        self._connection.has_unread_input = True
        if not self._connection.is_broken:
            self._worker.handle_error(request, self._connection, self._peer, error)
