"""A WSGI application for tests of the worker. The path selects its behaviour. By default it echoes the request."""

import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import gevent

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Call the function for the path (PEP 3333)."""
    return _PATHS.get(environ["PATH_INFO"], _echo)(environ, start_response)


def _plain(start_response: "StartResponse", body: bytes, status: str = "200 OK") -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _echo(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Respond with the environ and the body. Keys of our worker are omitted. "object" stands for objects."""
    body = environ["wsgi.input"].read()
    lines = [
        f"{name}: {value if isinstance(value, str | int | tuple) else 'object'}"
        for name, value in environ.items()
        if not name.startswith("covers.")
    ]
    return _plain(start_response, "\n".join([*sorted(lines), repr(body)]).encode())


def _unread(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    return _plain(start_response, b"the body is not read", "404 Not Found")


def _partly_read(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Read a part of the body, then reject the body as too large."""
    environ["wsgi.input"].read(100_000)
    return _plain(start_response, b"too large", "413 Content Too Large")


def _catch_error(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Respond with 400 if the body cannot be read."""
    try:
        body = environ["wsgi.input"].read()
    except Exception:  # noqa: BLE001 - the class depends on the server
        return _plain(start_response, b"broken", "400 Bad Request")
    return _plain(start_response, body)


def _wait(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Wait until the file that the query names is removed. Meanwhile, append the client's port to it repeatedly."""
    file = Path(environ["QUERY_STRING"])
    while file.exists():
        with file.open("a", encoding="utf-8") as output:
            output.write(f"{environ['REMOTE_PORT']}\n")
        gevent.sleep(0.01)
    return _plain(start_response, b"released")


def _count(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Read the whole body in large pieces, and respond with its length."""
    count = 0
    while part := environ["wsgi.input"].read(1 << 20):
        count += len(part)
    return _plain(start_response, str(count).encode())


def _lines(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
    """Stream the lines of the body, without Content-Length."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b""
    yield from environ["wsgi.input"]


def _use_write(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    write = start_response("200 OK", [("X-Empty", ""), ("Server", "mine"), ("Content-Length", "3")])
    write(b"one")
    return [b"beyond the length"]


def _file(environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
    start_response("200 OK", [("Content-Length", "5")])
    return environ["wsgi.file_wrapper"](_NoDescriptor())


class _NoDescriptor:
    """A file without a descriptor."""

    def __init__(self) -> None:
        self.rest = b"12345"

    def read(self, size: int) -> bytes:
        data, self.rest = self.rest[:2], self.rest[2:]
        return data


def _no_content(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("204 No Content", [("Content-Length", "3")])
    return []


def _twice(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Call start_response twice, which PEP 3333 allows with exc_info."""
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError
    except ValueError:
        start_response("503 Service Unavailable", [("Content-Length", "2")], sys.exc_info())
    return [b"no"]


def _bad_header(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("200 OK", [("X-Split", "a\r\nSet-Cookie: b")])
    return []


def _big(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    return _plain(start_response, bytes(int(environ["QUERY_STRING"])))


def _tcp_nodelay(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Respond with the state of TCP_NODELAY."""
    option = environ["gunicorn.socket"].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    return _plain(start_response, b"on" if option else b"off")


def _cacheable(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Respond with the number of calls so far. The query limits how often the response may be reused.

    The field X-Time counts how often this response has been sent.
    """
    times = count(2)
    if "covers.cache_response" in environ:
        last = int(environ["QUERY_STRING"] or sys.maxsize) + 1
        environ["covers.cache_response"]("X-Time", lambda: b"%d" % time if (time := next(times)) <= last else None)
    _cacheable_calls.append(environ["PATH_INFO"])
    body = f"call {len(_cacheable_calls)}".encode()
    start_response("200 OK", [("Content-Length", str(len(body))), ("x-time", "1"), ("Content-Type", "text/plain")])
    return [body]


def _cacheable_raising(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Respond like ``_cacheable``, with a validity check that raises."""
    chunks = _cacheable(environ, start_response)
    if "covers.cache_response" in environ:
        environ["covers.cache_response"]("X-Time", {}.popitem)
    return chunks


def _cacheable_in_two(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Respond like ``_cacheable``, with the body in two pieces."""
    first, *_ = _cacheable(environ, start_response)
    return [first[:2], first[2:]]


def _cacheable_failing(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
    """Respond like ``_cacheable``, and fail after the whole body has been sent."""
    yield from _cacheable(environ, start_response)
    raise _ERRORS["KeyError"]


_cacheable_calls: list[str] = []

_ERRORS = {
    "OSError": OSError(104, "Connection reset by peer"),
    "Timeout": gevent.Timeout(1),
    "GreenletExit": gevent.GreenletExit(),
    "SystemExit": SystemExit(3),
    "KeyError": KeyError("key"),
    "StopIteration": StopIteration(),
}


def _fail(environ: "WSGIEnvironment", _start_response: "StartResponse") -> Iterable[bytes]:
    raise _ERRORS[environ["QUERY_STRING"]]


def _fail_late(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"some"
    raise _ERRORS["OSError"]


def _change_environ(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Change the environ, which PEP 3333 allows, and check that no earlier request has changed it."""
    if "seen" in environ or not parse_qs(environ["QUERY_STRING"]):
        return _plain(start_response, b"the environ has been changed before", "500 Internal Server Error")
    environ["seen"] = environ["wsgi.url_scheme"] = environ["REMOTE_ADDR"] = "yes"
    return _plain(start_response, b"the environ is new")


_PATHS: dict[str, Callable[["WSGIEnvironment", "StartResponse"], Iterable[bytes]]] = {
    "/unread": _unread,
    "/partly-read": _partly_read,
    "/catch-error": _catch_error,
    "/wait": _wait,
    "/count": _count,
    "/lines": _lines,
    "/written": _use_write,
    "/file": _file,
    "/no-content": _no_content,
    "/twice": _twice,
    "/bad-header": _bad_header,
    "/big": _big,
    "/cacheable": _cacheable,
    "/cacheable-in-two": _cacheable_in_two,
    "/cacheable-raising": _cacheable_raising,
    "/cacheable-failing": _cacheable_failing,
    "/tcp-nodelay": _tcp_nodelay,
    "/fail": _fail,
    "/fail-late": _fail_late,
    "/change-environ": _change_environ,
}
