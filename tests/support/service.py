"""The service as its users run it: a real gunicorn in a process of its own, on a port that the system chose."""

import json
import os
import signal
import socket
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent

from tests.support.processes import living

ROOT = Path(__file__).parent.parent.parent
#: More than the service's graceful_timeout.
STOP_SECONDS = 30.0

#: A source in the ozon form at the scripted origin.
CONFIG = """
store = "none"

[sources.ozon]
page_url = "{origin}/context/detail/id/{{id}}"
id_pattern = '\\d{{1,19}}'
extract = [{{ regex = '(/multimedia/audio_cd_covers/(?:\\d+)\\.jpg)' }}]
private_network = true
"""


@dataclass(slots=True)
class Service:
    """A running service: where it listens, its master process, what it logs."""

    port: int
    process: subprocess.Popen[bytes]
    config: Path
    log: Path
    clients: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where XML-RPC is answered."""
        return f"http://127.0.0.1:{self.port}/RPC2"

    def client(self) -> Any:
        """Return a client with a connection of its own, for one greenlet; it is closed with the server."""
        client = xmlrpc.client.ServerProxy(self.url, allow_none=True)
        self.clients.append(client)
        return client

    def workers(self) -> set[int]:
        """Return the process ids of the workers."""
        return {process.pid for process in living() if process.parent == self.process.pid}

    def events(self, **fields: Any) -> list[dict[str, Any]]:
        """Return the lines of the log that have these fields, each of which is JSON; one half written is not there."""
        lines = self.log.read_text("utf-8").split("\n")[:-1]
        return [event for event in map(json.loads, lines) if fields.items() <= event.items()]

    def kill(self) -> None:
        """End all of it at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        while _group(self.process.pid):
            gevent.sleep(0.01)

    def reload(self) -> None:
        """Have gunicorn read its configuration again and replace its workers."""
        self.process.send_signal(signal.SIGHUP)

    def quit(self) -> int:
        """End it without waiting for anybody, and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            return self.process.wait(STOP_SECONDS)
        return self.process.returncode

    def close_clients(self) -> None:
        """Close the connections of all clients."""
        for client in self.clients:
            client("close")()
        self.clients.clear()


def _group(leader: int) -> set[int]:
    return {process.pid for process in living() if process.group == leader}


def environment(config: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment for the service: ours, without what would configure it, and what is given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("COVERS_", "GUNICORN_"))}
    return inherited | {"COVERS_CONFIG": str(config), "PYTHONPATH": str(ROOT)} | dict(extra or {})


def gunicorn_command(*arguments: str) -> list[str]:
    """Return the command that serves the application, as the README has it."""
    return [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), *arguments, "app:wsgi"]


@contextmanager
def run_service(
    folder: Path,
    config: str,
    *,
    workers: int = 1,
    extra: Mapping[str, str] | None = None,
    directory: Path = ROOT,
    port: int = 0,
) -> Iterator[Service]:
    """Run the service with this configuration until the block ends; ``extra`` are further variables.

    The listening socket is made here and handed over, so the port is known (a new one, unless ``port`` is that of a
    service that has ended), nobody else can take it, and a client that
    comes before the workers are up waits in its backlog.
    """
    path = folder / "covers.toml"
    path.write_text(config, "utf-8")
    log = folder / "gunicorn.log"
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener, log.open("wb") as output:
        # gunicorn sets it too, but too late for a connection that comes before: its answers would wait 40 ms for ACKs.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listener.getsockname()[1]
        variables = {"COVERS_BIND": f"fd://{listener.fileno()}", "COVERS_WORKERS": str(workers), **(extra or {})}
        process = subprocess.Popen(
            gunicorn_command(),
            cwd=directory,
            env=environment(path, variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    server = Service(port, process, path, log)
    try:
        yield server
        server.quit()
    finally:
        server.close_clients()
        # Whatever the test did to it: nothing of it stays. Its session is its own, so the group is the whole of it.
        if process.poll() is None:
            process.kill()
            process.wait()
        left = _group(process.pid)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert not left, f"processes were left behind:\n{log.read_text(errors='replace')}"
