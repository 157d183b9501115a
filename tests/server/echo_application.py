"""An application that echoes: what it is asked for by the path is what it does to the door."""

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
    """Answer by the path."""
    return _PATHS.get(environ["PATH_INFO"], _echo)(environ, start_response)


def _plain(start_response: "StartResponse", body: bytes, status: str = "200 OK") -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _echo(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Read the body; say each variable of the environ but our worker's own, objects by "object" only, and the body."""
    body = environ["wsgi.input"].read()
    lines = [
        f"{name}: {value if isinstance(value, str | int | tuple) else 'object'}"
        for name, value in environ.items()
        if not name.startswith("covers.")
    ]
    return _plain(start_response, "\n".join([*sorted(lines), repr(body)]).encode())


def _unread(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    return _plain(start_response, b"nothing is read here", "404 Not Found")


def _first(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Read some of the body, and find it too large."""
    environ["wsgi.input"].read(100_000)
    return _plain(start_response, b"too large", "413 Content Too Large")


def _guarded(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Take whatever is wrong with the body for a broken one."""
    try:
        body = environ["wsgi.input"].read()
    except Exception:  # noqa: BLE001 - an application does not know the door's
        return _plain(start_response, b"broken", "400 Bad Request")
    return _plain(start_response, body)


def _held(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer when the file that the query names is gone; until then, write to it again and again who waits."""
    file = Path(environ["QUERY_STRING"])
    while file.exists():
        with file.open("a", encoding="utf-8") as output:
            output.write(f"{environ['REMOTE_PORT']}\n")
        gevent.sleep(0.01)
    return _plain(start_response, b"held no more")


def _count(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Read all of the body in the largest pieces, and keep none."""
    count = 0
    while part := environ["wsgi.input"].read(1 << 20):
        count += len(part)
    return _plain(start_response, str(count).encode())


def _lines(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
    """Stream the lines of the body, without a length."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b""
    yield from environ["wsgi.input"]


def _written(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    write = start_response("200 OK", [("X-Empty", ""), ("Server", "mine"), ("Content-Length", "3")])
    write(b"one")
    return [b"beyond the length"]


def _file(environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
    start_response("200 OK", [("Content-Length", "5")])
    return environ["wsgi.file_wrapper"](_Five())


class _Five:
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
    """Change its mind, as PEP 3333 allows with exc_info."""
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


def _option(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Say whether answers wait for ACKs."""
    option = environ["gunicorn.socket"].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    return _plain(start_response, b"at once" if option else b"later")


def _again(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Say how often this was asked; the answer holds for as many times more as the query says, or for ever.

    The header X-Time says the how manieth time it is given.
    """
    times = count(2)
    if "covers.cache_response" in environ:
        last = int(environ["QUERY_STRING"] or sys.maxsize) + 1
        environ["covers.cache_response"]("X-Time", lambda: b"%d" % time if (time := next(times)) <= last else None)
    _asked.append(environ["PATH_INFO"])
    body = f"asked {len(_asked)}".encode()
    start_response("200 OK", [("Content-Length", str(len(body))), ("x-time", "1"), ("Content-Type", "text/plain")])
    return [body]


def _again_raising(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Say so, and have a bug in what tells whether it holds."""
    answer = _again(environ, start_response)
    if "covers.cache_response" in environ:
        environ["covers.cache_response"]("X-Time", {}.popitem)
    return answer


def _again_written(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Say so in two pieces."""
    first, *_ = _again(environ, start_response)
    return [first[:2], first[2:]]


def _again_failing(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
    """Say so, and fail when all has been sent."""
    yield from _again(environ, start_response)
    raise _ERRORS["KeyError"]


_asked: list[str] = []

_ERRORS = {
    "OSError": OSError(104, "Connection reset by peer, of another one"),
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


def _set(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Change the environ, as an application may."""
    if "seen" in environ or not parse_qs(environ["QUERY_STRING"]):
        return _plain(start_response, b"seen before", "500 Internal Server Error")
    environ["seen"] = environ["wsgi.url_scheme"] = environ["REMOTE_ADDR"] = "yes"
    return _plain(start_response, b"not seen before")


_PATHS: dict[str, Callable[["WSGIEnvironment", "StartResponse"], Iterable[bytes]]] = {
    "/unread": _unread,
    "/first": _first,
    "/guarded": _guarded,
    "/held": _held,
    "/count": _count,
    "/lines": _lines,
    "/written": _written,
    "/file": _file,
    "/no-content": _no_content,
    "/twice": _twice,
    "/bad-header": _bad_header,
    "/big": _big,
    "/again": _again,
    "/again-in-two": _again_written,
    "/again-raising": _again_raising,
    "/again-failing": _again_failing,
    "/option": _option,
    "/fail": _fail,
    "/fail-late": _fail_late,
    "/set": _set,
}
