"""Servers that can be restarted. Each keeps its address while it is down, so that a proxy finds it again."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.server.gunicorn_server import wait_until
from tests.store.redis_server import reserve_port
from tests.support.processes import running_processes
from tests.support.service import STOP_SECONDS, environment, gunicorn_command

_START_SECONDS = 20.0

#: A script that passes a socket as systemd does (sd_listen_fds(3)), then runs a command: FILE_DESCRIPTOR COMMAND...
_SOCKET_ACTIVATION = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
    "os.execv(sys.argv[2], sys.argv[2:])"
)


@dataclass(slots=True)
class RestartableServer:
    """A server: its working directory, its configuration file, and the socket that reserves its address.

    With socket activation the server inherits that socket, which must be listening. Otherwise it binds a socket of its
    own to the same address.
    """

    folder: Path
    config: Path
    bound_socket: socket.socket
    uses_socket_activation: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def port(self) -> int:
        """The port of the server."""
        port: int = self.bound_socket.getsockname()[1]
        return port

    def start(self) -> None:
        """Start the server, and wait until it has notified that it listens (sd_notify(3))."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
            notifications.bind("")  # the kernel chooses an abstract name
            notifications.settimeout(_START_SECONDS)
            self._start(f"@{notifications.getsockname()[1:].decode()}")
            assert notifications.recv(1024).startswith(b"READY=1"), self.read_log()

    def _start(self, notify_socket: str) -> None:
        command, inherited = gunicorn_command(), tuple[int, ...]()
        if self.uses_socket_activation:
            descriptor = self.bound_socket.fileno()
            inherited = (descriptor,)
            command = [sys.executable, "-c", _SOCKET_ACTIVATION, str(descriptor), *command]
        variables = {"COVERS_BIND": f"127.0.0.1:{self.port}", "COVERS_WORKERS": "2", "NOTIFY_SOCKET": notify_socket}
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment(self.config, variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=inherited,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stop the server with SIGTERM, and wait until it has exited."""
        assert self.process is not None, "it was not started"
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_SECONDS) == 0, self.read_log()

    def restart(self) -> None:
        """Stop the server, then start it again."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Reload the server with SIGHUP, and wait until all of its workers have been replaced."""
        assert self.process is not None, "it was not started"
        before = self.workers()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.workers()) == 2 and not self.workers() & before, "all workers are new", 20)

    def workers(self) -> set[int]:
        """Return the process ids of the workers."""
        assert self.process is not None, "it was not started"
        return {process.pid for process in running_processes() if process.parent == self.process.pid}

    def read_log(self) -> str:
        """Return the text of the log."""
        return self._log.read_text("utf-8", "replace")

    def kill(self) -> None:
        """Kill all processes of the server and release its address."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.bound_socket.close()

    @property
    def _log(self) -> Path:
        return self.folder / "gunicorn.log"


@contextmanager
def run_servers(
    folder: Path, config: str, *, count: int = 1, socket_activation: bool = False
) -> Iterator[list[RestartableServer]]:
    """Run ``count`` servers with the same configuration until the block ends, each in a folder of its own."""
    path = folder / "covers.toml"
    path.write_text(config, "utf-8")
    servers: list[RestartableServer] = []
    try:
        for number in range(count):
            server_folder = folder / f"server-{number}"
            server_folder.mkdir()
            bound = socket.create_server(("127.0.0.1", 0), backlog=1024) if socket_activation else reserve_port()
            servers.append(RestartableServer(server_folder, path, bound, socket_activation))
            servers[-1].start()
        yield servers
    finally:
        for server in servers:
            server.kill()
