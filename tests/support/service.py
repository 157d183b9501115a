"""The service as users run it: gunicorn with its workers in processes of their own, on a free port."""

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

from tests.support.processes import running_processes

ROOT = Path(__file__).parent.parent.parent
#: Seconds to wait for the service to exit: more than its graceful_timeout.
STOP_SECONDS = 30.0

#: A configuration without a store, with the source "ozon" at the scripted origin.
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
    """A running service: its port, its master process, its configuration file, its log, and the clients to close."""

    port: int
    process: subprocess.Popen[bytes]
    config: Path
    log: Path
    clients: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The URL of the XML-RPC endpoint."""
        return f"http://127.0.0.1:{self.port}/RPC2"

    def client(self) -> Any:
        """Return a client with its own connection, for use by one greenlet. It is closed with the service."""
        client = xmlrpc.client.ServerProxy(self.url, allow_none=True)
        self.clients.append(client)
        return client

    def workers(self) -> set[int]:
        """Return the process ids of the workers."""
        return {process.pid for process in running_processes() if process.parent == self.process.pid}

    def events(self, **fields: Any) -> list[dict[str, Any]]:
        """Return the records of the JSON log with these fields; an incomplete last line is ignored."""
        lines = self.log.read_text("utf-8").split("\n")[:-1]
        return [event for event in map(json.loads, lines) if fields.items() <= event.items()]

    def kill(self) -> None:
        """Kill all processes of the service with SIGKILL, which has the effect of a power failure."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        while _processes_in_group(self.process.pid):
            gevent.sleep(0.01)

    def reload(self) -> None:
        """Make gunicorn read its configuration again and replace its workers."""
        self.process.send_signal(signal.SIGHUP)

    def quit(self) -> int:
        """Stop the service without waiting for requests in progress; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            return self.process.wait(STOP_SECONDS)
        return self.process.returncode

    def close_clients(self) -> None:
        """Close the connections of all clients."""
        for client in self.clients:
            client("close")()
        self.clients.clear()


def _processes_in_group(leader: int) -> set[int]:
    return {process.pid for process in running_processes() if process.group == leader}


def environment(config: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return environment variables for the service: ours without those that configure it, and ``extra``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("COVERS_", "GUNICORN_"))}
    return inherited | {"COVERS_CONFIG": str(config), "PYTHONPATH": str(ROOT)} | dict(extra or {})


def gunicorn_command(*arguments: str, root: Path = ROOT) -> list[str]:
    """Return the command of the README that starts the service whose code is in ``root``."""
    return [sys.executable, "-m", "gunicorn", "-c", str(root / "gunicorn.conf.py"), *arguments, "app:wsgi"]


@contextmanager
def run_service(
    folder: Path,
    config: str,
    *,
    workers: int = 1,
    extra: Mapping[str, str] | None = None,
    directory: Path = ROOT,
    root: Path = ROOT,
    port: int = 0,
) -> Iterator[Service]:
    """Run the service with this configuration until the block ends.

    The listening socket is created here and inherited by gunicorn. Thus the port is known and cannot be taken by
    another process, and a client that connects before the workers have started waits in the backlog.

    Args:
        folder: The folder for the configuration file and the log.
        config: The text of the configuration file.
        workers: The number of workers.
        extra: Further environment variables.
        directory: The working directory.
        root: The folder with the code. If it is a copy, it must be the working directory too.
        port: The port of a service that has ended, or 0 for a free one.

    """
    path = folder / "covers.toml"
    path.write_text(config, "utf-8")
    log = folder / "gunicorn.log"
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener, log.open("wb") as output:
        # gunicorn sets it too, but a client may connect before: its responses would be delayed by 40 ms (delayed ACK).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listener.getsockname()[1]
        variables = {"COVERS_BIND": f"fd://{listener.fileno()}", "COVERS_WORKERS": str(workers), **(extra or {})}
        process = subprocess.Popen(
            gunicorn_command(root=root),
            cwd=directory,
            env=environment(path, variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    service = Service(port, process, path, log)
    try:
        yield service
        service.quit()
    finally:
        service.close_clients()
        # No process may survive the test. gunicorn has a session of its own, so its group includes all of them.
        if process.poll() is None:
            process.kill()
            process.wait()
        survivors = _processes_in_group(process.pid)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert not survivors, f"processes are still running:\n{log.read_text(errors='replace')}"
