"""What stands in front of servers: a real nginx or HAProxy by the project's own example, at other addresses."""

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

#: What leads to the example of nginx, as a system's own nginx.conf does.
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
class Front:
    """A proxy over TLS: where it writes and listens, the commands that run it and that check its configuration.

    ``settle`` waits until it trusts its servers.
    """

    folder: Path
    port: int
    command: Sequence[str]
    check: Sequence[str]
    settle: Callable[[], None]


def nginx(program: str, folder: Path, port: int, one: int, two: int) -> Front:
    """Return an nginx; it finds out by each call whom it can trust."""
    changes = {"listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "/var/log/nginx": str(folder)}
    _write_example("nginx.conf", folder / "covers.conf", changes, one, two)
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder))
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    return Front(folder, port, command, [*command, "-t"], lambda: None)


def haproxy(program: str, folder: Path, port: int, one: int, two: int) -> Front:
    """Return a HAProxy; it looks after its servers every second, and tells what it thinks of them."""
    path = folder / "haproxy.cfg"
    user = "    user haproxy\n    group haproxy\n"  # only root could become somebody else
    changes = {"bind :443": f"bind 127.0.0.1:{port}", "/run/haproxy": str(folder), user: ""}
    _write_example("haproxy.cfg", path, changes, one, two)

    admin_path = folder / "admin.sock"

    def told() -> str:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(admin_path))
            admin.sendall(b"show servers state\n")
            return b"".join(iter(lambda: admin.recv(65_536), b"")).decode()

    def are_up() -> bool:
        # After two lines of headings: the names and addresses of backend and server, and 2 where that is running.
        if not admin_path.exists():  # it comes a moment after the port
            return False
        return [line.split()[5] for line in told().splitlines()[2:] if line] == ["2", "2"]

    settle = partial(wait_until, are_up, "both servers are up", 20)
    return Front(folder, port, [program, "-db", "-f", str(path)], [program, "-c", "-f", str(path)], settle)


def _write_example(name: str, path: Path, changes: Mapping[str, str], one: int, two: int) -> None:
    """Write an example with what is to be changed in it: the addresses, and where certificates are, which are made."""
    folder = str(path.parent)
    servers = {"10.0.0.11:8080": f"127.0.0.1:{one}", "10.0.0.12:8080": f"127.0.0.1:{two}"}
    text = (DEPLOY / name).read_text("utf-8")
    for old, new in {**changes, **servers, "/etc/ssl/covers": folder}.items():
        assert old in text, f"{old} is not in {name}"
        text = text.replace(old, new)
    path.write_text(text)


def identify(folder: Path, authority: trustme.CA) -> None:
    """Put certificates where the examples look for them."""
    certificate = authority.issue_cert("localhost")
    key, chain = certificate.private_key_pem.bytes(), b"".join(part.bytes() for part in certificate.cert_chain_pems)
    for name, content in {"key.pem": key, "fullchain.pem": chain, "both.pem": chain + key}.items():
        (folder / name).write_bytes(content)


#: What makes a proxy of its program, the folder that it may have, and three ports: its own, and those of its servers.
BUILDERS: dict[str, Callable[[str, Path, int, int, int], Front]] = {"nginx": nginx, "haproxy": haproxy}


@contextmanager
def standing(front: Front) -> Iterator[Front]:
    """Run the proxy until the block ends."""
    log = front.folder / "proxy.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            front.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )

    def is_listening() -> bool:
        assert process.poll() is None, log.read_text("utf-8", "replace")
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", front.port)).close()
            return True
        return False

    try:
        wait_until(is_listening, "the proxy listens")
        front.settle()
        yield front
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
