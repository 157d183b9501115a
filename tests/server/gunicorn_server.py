"""A gunicorn process with the echo application, and a raw HTTP client for it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import gevent

from tests.support.processes import running_processes

ROOT = Path(__file__).parent.parent.parent
STOCK_WORKER = "gunicorn.workers.ggevent.GeventWorker"
OUR_WORKER = "app.server.Worker"
SHORT_TIMEOUT_WORKER = "tests.server.short_timeouts.ShortTimeoutWorker"


@dataclass(frozen=True, slots=True)
class Response:
    """A received response: its status line, its field lines without Date, its body."""

    status: str
    headers: tuple[str, ...]
    body: bytes

    @property
    def code(self) -> int:
        """The status code."""
        return int(self.status.split(" ")[1])


@dataclass(frozen=True, slots=True)
class GunicornServer:
    """A running gunicorn: its port, its master process, its error log."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), 10, (source, 0))

    def time_request(self, source: str = "127.0.0.1") -> float:
        """Send a request on a new connection, expect 200, and return the seconds until the response."""
        started_at = time.monotonic()
        assert [response.code for response in self.exchange(request("/echo"), source=source)] == [200]
        return time.monotonic() - started_at

    def exchange(self, *packets: bytes, source: str = "127.0.0.1") -> list[Response]:
        """Send ``packets`` on a new connection, shut down sending, and return all responses.

        The digits of both port numbers are replaced by zeros, so that responses of different servers can be compared.
        """
        with self.connect(source) as connection:
            with suppress(OSError):
                for packet in packets:
                    connection.sendall(packet)
                    if packet is not packets[-1]:
                        gevent.sleep(0.002)
                connection.shutdown(socket.SHUT_WR)
            client_port = connection.getsockname()[1]
            data = receive_all(connection)
        for port in (f"REMOTE_PORT: {client_port}", f"SERVER_PORT: {self.port}"):
            data = data.replace(port.encode(), re.sub(r"\d", "0", port).encode())
        return parse_responses(data)

    def workers(self) -> set[int]:
        """Return the process ids of the workers."""
        return {process.pid for process in running_processes() if process.parent == self.process.pid}

    def has_logged(self, text: str) -> bool:
        """Return whether the error log contains ``text``."""
        return text in self.log.read_text("utf-8", "replace")


@contextmanager
def run_gunicorn(
    folder: Path,
    worker: str,
    *options: str,
    family: int = socket.AF_INET,
    more_sockets: Sequence[socket.socket] = (),
) -> Iterator[GunicornServer]:
    """Run gunicorn with this worker class until the block ends.

    It listens on a free port of 127.0.0.1 (or on "server.sock" in ``folder`` for AF_UNIX) and on ``more_sockets``.
    """
    log = folder / f"{worker}.log"
    with socket.socket(family) as listener, log.open("wb") as output:
        listener.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(folder / "server.sock"))
        listener.listen(1024)
        port = listener.getsockname()[1] if family == socket.AF_INET else 0
        descriptors = [listening.fileno() for listening in (listener, *more_sockets)]
        binds = [word for descriptor in descriptors for word in ("-b", f"fd://{descriptor}")]
        command = [sys.executable, "-m", "gunicorn", "-c", str(Path(__file__).with_name("conf.py")), "-k", worker]
        process = subprocess.Popen(
            [*command, *binds, *options, "tests.server.echo_application:application"],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("GUNICORN_")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=descriptors,
            start_new_session=True,
        )
    try:
        yield GunicornServer(port, process, log)
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            # A worker that is being forked misses the signal, and is killed after graceful_timeout.
            process.wait(20)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def request(
    path: str = "/echo", body: bytes | None = None, *headers: str, method: str = "", version: str = "1.1"
) -> bytes:
    """Return the bytes of a request. A request with a body has Content-Length."""
    method = method or ("GET" if body is None else "POST")
    length = [] if body is None else [f"Content-Length: {len(body)}"]
    lines = [f"{method} {path} HTTP/{version}", "Host: server", *length, *headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1") + (body or b"")


def receive_all(connection: socket.socket) -> bytes:
    """Return the bytes that arrive until the connection is closed or reset."""
    parts: list[bytes] = []
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def receive_response(connection: socket.socket) -> Response:
    """Receive one response, which must have Content-Length."""
    data = b""
    while not (responses := parse_responses(data, partial=True)):
        part = connection.recv(65_536)
        assert part, f"the connection was closed after {data!r}"
        data += part
    return responses[0]


def parse_responses(data: bytes, *, partial: bool = False) -> list[Response]:
    """Return the responses in ``data``. With ``partial``, an incomplete last response is ignored."""
    responses: list[Response] = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        status, *headers = head.decode("latin-1").split("\r\n")
        length = re.search(rb"(?im)^content-length: (\d+)", head)
        if status.split(" ")[1:2] == ["100"]:
            body, data = b"", rest
        elif length is not None:
            size = int(length[1])
            if partial and len(rest) < size:
                break
            body, data = rest[:size], rest[size:]
        elif b"Transfer-Encoding: chunked" in head:
            body, data = _decode_chunked(rest)
        else:
            body, data = rest, b""
        kept = tuple(header for header in headers if not header.startswith("Date: "))
        responses.append(Response(status, kept, body))
    return responses


def _decode_chunked(rest: bytes) -> tuple[bytes, bytes]:
    """Return the decoded body, with "(no end)" if the last chunk is missing, and the bytes after the body."""
    body = b""
    while rest:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line, 16)
        body, rest = body + rest[:size], rest[size + 2 :]
        if size == 0:
            return body, rest
    return body + b"(no end)", b""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Wait until ``condition`` is true. ``what`` describes the condition in the error message."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true within {seconds} seconds: {what}"
        gevent.sleep(0.01)


def status_codes(responses: Sequence[Response]) -> list[int]:
    """Return the status codes of ``responses``."""
    return [response.code for response in responses]
