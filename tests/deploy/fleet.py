"""Servers that come and go. Each keeps its address while it is down, so that whoever stands in front finds it again."""

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
from tests.support.processes import living
from tests.support.service import STOP_SECONDS, environment, gunicorn_command

START_SECONDS = 20.0

#: Becomes the command behind the number of a socket, which finds that where systemd puts it (sd_listen_fds(3)).
_AS_SYSTEMD = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
    "os.execv(sys.argv[2], sys.argv[2:])"
)


@dataclass(slots=True)
class Member:
    """A server of a fleet: where it writes, its configuration, and the socket by which its address is held.

    One that listens is handed over to the server, as systemd does it; of another one the address is used.
    """

    folder: Path
    config: Path
    place: socket.socket
    is_handed_over: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.place.getsockname()[1]
        return port

    def start(self) -> None:
        """Start it, and wait until it says that it listens (sd_notify(3))."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind("")  # the system chooses a name
            notified.settimeout(START_SECONDS)
            self._start(f"@{notified.getsockname()[1:].decode()}")
            assert notified.recv(1024).startswith(b"READY=1"), self.told()

    def _start(self, notified: str) -> None:
        command, passed = gunicorn_command(), tuple[int, ...]()
        if self.is_handed_over:
            passed = (self.place.fileno(),)
            command = [sys.executable, "-c", _AS_SYSTEMD, str(self.place.fileno()), *command]
        variables = {"COVERS_BIND": f"127.0.0.1:{self.port}", "COVERS_WORKERS": "2", "NOTIFY_SOCKET": notified}
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment(self.config, variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=passed,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End it by TERM, and wait until it has gone."""
        assert self.process is not None, "it was not started"
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_SECONDS) == 0, self.told()

    def restart(self) -> None:
        """End it, then start it anew."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Have it replace its workers, and wait until it has."""
        assert self.process is not None, "it was not started"
        before = self.workers()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.workers()) == 2 and not self.workers() & before, "all workers are new", 20)

    def workers(self) -> set[int]:
        """Return the process ids of its workers."""
        assert self.process is not None, "it was not started"
        return {process.pid for process in living() if process.parent == self.process.pid}

    def told(self) -> str:
        """Return what it has logged."""
        return self._log.read_text("utf-8", "replace")

    def end(self) -> None:
        """Leave nothing of it."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.place.close()

    @property
    def _log(self) -> Path:
        return self.folder / "gunicorn.log"


@contextmanager
def running(folder: Path, config: str, *, count: int = 1, is_handed_over: bool = False) -> Iterator[list[Member]]:
    """Run ``count`` servers with one configuration until the block ends, each in a folder of its own."""
    path = folder / "covers.toml"
    path.write_text(config, "utf-8")
    members: list[Member] = []
    try:
        for number in range(count):
            own = folder / f"server-{number}"
            own.mkdir()
            place = socket.create_server(("127.0.0.1", 0), backlog=1024) if is_handed_over else reserve_port()
            members.append(Member(own, path, place, is_handed_over))
            members[-1].start()
        yield members
    finally:
        for member in members:
            member.end()
