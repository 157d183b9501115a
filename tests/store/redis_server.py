"""Runs a real redis-server on a free port of 127.0.0.1. It writes nothing to disk unless its options say so."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import redis

START_SECONDS = 10.0
STOP_SECONDS = 10.0


def reserve_port() -> socket.socket:
    """Return a socket bound to a free port of 127.0.0.1.

    A server can bind the same port, since both set SO_REUSEADDR.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    return reservation


@dataclass(slots=True)
class RedisServer:
    """A redis-server process.

    ``folder`` is its working directory, and ``options`` are added to its command line.
    """

    program: str
    folder: Path
    options: tuple[str, ...] = ()
    password: str | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    #: Bound but never listening: the system gives the port to no other process, even while the server is down.
    port_reservation: socket.socket = field(default_factory=reserve_port, repr=False)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self.port_reservation.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The URL for a store."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self.process is not None, "it was not started"
        return self.process.pid

    def start(self) -> None:
        """Start it, or restart it on the same port, and wait until it responds."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [self.program, *self._arguments()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with gevent.Timeout(START_SECONDS, TimeoutError(f"redis-server does not answer; see {self.log}")):
            while not self._is_serving():
                assert self.process.poll() is None, f"redis-server ended:\n{self.log.read_text(errors='replace')}"
                gevent.sleep(0.01)

    def kill(self) -> None:
        """Kill it as a power failure would, and wait until it has exited."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            self.process = None

    def freeze(self) -> None:
        """Stop the process: the system still accepts connections for it, and there is no response."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process continue."""
        self._signal(signal.SIGCONT)

    def execute(self, *command: str | bytes | int) -> Any:
        """Return the response to one command, sent on a new connection."""
        with redis.Redis(port=self.port, password=self.password, protocol=2, driver_info=None) as client:
            return client.execute_command(*command)

    def connections(self) -> list[str]:
        """Return the addresses of its clients, except that of this call."""
        return [client["addr"] for client in self.execute("CLIENT LIST") if client["cmd"] != "client|list"]

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.folder / "redis.log"

    def _arguments(self) -> list[str]:
        secret = ["--requirepass", self.password] if self.password else []
        silent = ["--save", "", "--appendonly", "no"]
        return ["--port", str(self.port), "--bind", "127.0.0.1", *silent, *secret, *self.options]

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None, "it was not started"
        self.process.send_signal(number)

    def _is_serving(self) -> bool:
        try:
            return bool(self.execute("INFO", "server")["process_id"] == self.pid)
        except (redis.ConnectionError, redis.TimeoutError):
            return False


@contextmanager
def serving_redis(program: str, folder: Path, *options: str, password: str | None = None) -> Iterator[RedisServer]:
    """Run ``program`` (redis-server or valkey-server) until the block ends."""
    server = RedisServer(program, folder, options, password)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        server.port_reservation.close()
