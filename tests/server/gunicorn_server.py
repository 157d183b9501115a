"""A gunicorn with the echoing application, and what a test says to it over a socket of its own."""

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

from tests.support.processes import living

ROOT = Path(__file__).parent.parent.parent
STOCK = "gunicorn.workers.ggevent.GeventWorker"
OURS = "app.server.Worker"
QUICK = "tests.server.short_timeouts.Quick"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came: its status line, its header lines but the date, its body."""

    status: str
    headers: tuple[str, ...]
    body: bytes

    @property
    def code(self) -> int:
        """The status."""
        return int(self.status.split(" ")[1])


@dataclass(frozen=True, slots=True)
class GunicornServer:
    """A running gunicorn."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), 10, (source, 0))

    def hit(self, source: str = "127.0.0.1") -> float:
        """Be answered on a connection of its own; return the seconds that it took."""
        began = time.monotonic()
        assert [answer.code for answer in self.say(request("/echo"), source=source)] == [200]
        return time.monotonic() - began

    def say(self, *packets: bytes, source: str = "127.0.0.1") -> list[Answer]:
        """Send packets, then the end; return the answers until the door's end, with both ports by their names."""
        with self.connect(source) as connection:
            with suppress(OSError):
                for packet in packets:
                    connection.sendall(packet)
                    if packet is not packets[-1]:
                        gevent.sleep(0.002)
                connection.shutdown(socket.SHUT_WR)
            own = str(connection.getsockname()[1]).encode()
            heard = everything(connection)
        heard = heard.replace(b"REMOTE_PORT: " + own, b"REMOTE_PORT: own")
        return answers_in(heard.replace(f"SERVER_PORT: {self.port}".encode(), b"SERVER_PORT: its"))

    def workers(self) -> set[int]:
        """Return the process ids of its workers."""
        return {process.pid for process in living() if process.parent == self.process.pid}

    def tells(self, text: str) -> bool:
        """Tell whether the log has this text."""
        return text in self.log.read_text("utf-8", "replace")


@contextmanager
def opened(
    folder: Path, worker: str, *options: str, family: int = socket.AF_INET, others: Sequence[socket.socket] = ()
) -> Iterator[GunicornServer]:
    """Run a gunicorn with this worker until the block ends; its socket may be one in the folder, "door.sock".

    It listens at the ``others`` too.
    """
    log = folder / f"{worker}.log"
    with socket.socket(family) as listener, log.open("wb") as output:
        listener.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(folder / "door.sock"))
        listener.listen(1024)
        port = listener.getsockname()[1] if family == socket.AF_INET else 0
        descriptors = [listening.fileno() for listening in (listener, *others)]
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
            process.wait(20)  # a worker that is being forked just then misses it, and is killed after graceful_timeout
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def request(
    path: str = "/echo", body: bytes | None = None, *headers: str, method: str = "", version: str = "1.1"
) -> bytes:
    """Return a request, its length included if it has a body."""
    method = method or ("GET" if body is None else "POST")
    length = [] if body is None else [f"Content-Length: {len(body)}"]
    lines = [f"{method} {path} HTTP/{version}", "Host: door", *length, *headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1") + (body or b"")


def everything(connection: socket.socket) -> bytes:
    """Return what comes until the end, be it a reset."""
    parts: list[bytes] = []
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def one_answer(connection: socket.socket) -> Answer:
    """Return the next answer, which has a length."""
    heard = b""
    while not (answers := answers_in(heard, partial=True)):
        part = connection.recv(65_536)
        assert part, f"only {heard!r} came"
        heard += part
    return answers[0]


def answers_in(heard: bytes, *, partial: bool = False) -> list[Answer]:
    """Read answers, the body of each by its framing; ``partial``: the last one, not whole, is left out."""
    answers: list[Answer] = []
    while heard:
        head, _, rest = heard.partition(b"\r\n\r\n")
        status, *headers = head.decode("latin-1").split("\r\n")
        length = re.search(rb"(?im)^content-length: (\d+)", head)
        if status.split(" ")[1:2] == ["100"]:
            body, heard = b"", rest
        elif length is not None:
            size = int(length[1])
            if partial and len(rest) < size:
                break
            body, heard = rest[:size], rest[size:]
        elif b"Transfer-Encoding: chunked" in head:
            body, heard = _chunked(rest)
        else:
            body, heard = rest, b""
        kept = tuple(header for header in headers if not header.startswith("Date: "))
        answers.append(Answer(status, kept, body))
    return answers


def _chunked(rest: bytes) -> tuple[bytes, bytes]:
    """Return a chunked body, followed by "(no end)" where it has none, and what comes after it."""
    body = b""
    while rest:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line, 16)
        body, rest = body + rest[:size], rest[size + 2 :]
        if size == 0:
            return body, rest
    return body + b"(no end)", b""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Wait until it is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"after {seconds} seconds still not: {what}"
        gevent.sleep(0.01)


def codes(answers: Sequence[Answer]) -> list[int]:
    """Return the statuses."""
    return [answer.code for answer in answers]
