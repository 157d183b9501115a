"""Proxies in front of servers: nginx and HAProxy with the example configurations, at other addresses."""

import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trustme

from tests.server.gunicorn_server import wait_until
from tests.support.service import ROOT

DEPLOY = ROOT / "deploy"
STOP_SECONDS = 10.0

#: A main configuration of nginx that includes the example, like that of an installed nginx.
_NGINX = """
daemon off;
pid {folder}/pid;
error_log stderr;
events {{ }}
http {{
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/covers.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy with TLS: its folder and port, the command that runs it, and the one that checks its configuration.

    ``wait_until_ready`` waits until the proxy considers both servers available.
    """

    folder: Path
    port: int
    command: Sequence[str]
    check_command: Sequence[str]
    wait_until_ready: Callable[[], None]


def nginx(program: str, folder: Path, port: int, one: int, two: int) -> Proxy:
    """Return nginx, which is ready immediately: it has no active health checks."""
    changes = {"listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "/var/log/nginx": str(folder)}
    _write_example("nginx.conf", folder / "covers.conf", changes, one, two)
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder))
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    return Proxy(folder, port, command, [*command, "-t"], lambda: None)


def haproxy(program: str, folder: Path, port: int, one: int, two: int) -> Proxy:
    """Return HAProxy, which is ready when its health checks of both servers have succeeded."""
    path = folder / "haproxy.cfg"
    user = "    user haproxy\n    group haproxy\n"  # only root may change the user
    changes = {"bind :443": f"bind 127.0.0.1:{port}", "/run/haproxy": str(folder), user: ""}
    _write_example("haproxy.cfg", path, changes, one, two)

    admin_path = folder / "admin.sock"

    def show_servers_state() -> str:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(admin_path))
            admin.sendall(b"show servers state\n")
            return b"".join(iter(lambda: admin.recv(65_536), b"")).decode()

    def are_up() -> bool:
        # After two header lines, the sixth field of a line is the operational state of a server: 2 is running.
        if not admin_path.exists():  # it is created a moment after the port
            return False
        return [line.split()[5] for line in show_servers_state().splitlines()[2:] if line] == ["2", "2"]

    wait_until_ready = partial(wait_until, are_up, "both servers are up", 20)
    return Proxy(folder, port, [program, "-db", "-f", str(path)], [program, "-c", "-f", str(path)], wait_until_ready)


def _write_example(name: str, path: Path, changes: Mapping[str, str], one: int, two: int) -> None:
    """Write an example with ``changes``, the ports of the servers, and the folder of the certificates filled in."""
    folder = str(path.parent)
    servers = {"10.0.0.11:8080": f"127.0.0.1:{one}", "10.0.0.12:8080": f"127.0.0.1:{two}"}
    text = (DEPLOY / name).read_text("utf-8")
    for old, new in {**changes, **servers, "/etc/ssl/covers": folder}.items():
        assert old in text, f"{old} is not in {name}"
        text = text.replace(old, new)
    path.write_text(text)


def write_certificates(folder: Path, authority: trustme.CA) -> None:
    """Write certificates under the names that the examples use."""
    certificate = authority.issue_cert("localhost")
    key, chain = certificate.private_key_pem.bytes(), b"".join(part.bytes() for part in certificate.cert_chain_pems)
    for name, content in {"key.pem": key, "fullchain.pem": chain, "both.pem": chain + key}.items():
        (folder / name).write_bytes(content)


#: Functions that return a proxy, given its program, its folder, its port, and the ports of the two servers.
BUILDERS: dict[str, Callable[[str, Path, int, int, int], Proxy]] = {"nginx": nginx, "haproxy": haproxy}


@contextmanager
def run_proxy(proxy: Proxy) -> Iterator[Proxy]:
    """Run the proxy until the block ends."""
    log = proxy.folder / "proxy.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            proxy.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )

    def is_listening() -> bool:
        assert process.poll() is None, log.read_text("utf-8", "replace")
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port)).close()
            return True
        return False

    try:
        wait_until(is_listening, "the proxy listens")
        proxy.wait_until_ready()
        yield proxy
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
