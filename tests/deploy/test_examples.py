"""The examples in deploy/, by the programs that they are for, and by what they say of the service."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from app.config.loading import load_server_settings, load_settings
from tests.deploy.front import BUILDERS, DEPLOY, identify
from tests.support.service import ROOT, Service

UNITS = ("covers.service", "covers.socket")

#: The most that systemd-analyze may find wrong with the service, of 100.
MOST_EXPOSED = 15


def setting(name: str, key: str) -> str:
    """Return what an example has behind a key, at the beginning of a line."""
    (value,) = re.findall(rf"(?m)^\s*{key}[ =]\s*([^;\n]+)", (DEPLOY / name).read_text("utf-8"))
    return str(value)


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, for a service that is here."""
    for name in UNITS:
        text = (DEPLOY / name).read_text("utf-8")
        text = text.replace("/opt/covers/.venv/bin", str(Path(sys.executable).parent)).replace("/opt/covers", str(ROOT))
        (tmp_path / name).write_text(text, "utf-8")
    return [tmp_path / name for name in UNITS]


def test_systemd_takes_the_units(require: Callable[[str], str], units: list[Path]) -> None:
    verified = subprocess.run(
        [require("systemd-analyze"), "verify", "--man=no", *map(str, units)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_service_may_do_little_besides_serving(require: Callable[[str], str], units: list[Path]) -> None:
    command = [require("systemd-analyze"), "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(units[0])]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout


def test_systemd_waits_for_a_reload_and_then_for_the_end() -> None:
    assert float(setting("covers.service", "TimeoutStopSec")) > 2 * (load_settings({}).deadline + 15)


def test_the_files_that_the_service_is_told_of_are_there() -> None:
    named = re.findall(r"/opt/covers/(?!\.venv)([\w./-]+)", (DEPLOY / "covers.service").read_text("utf-8"))
    assert "gunicorn.conf.py" in named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_environment_has_only_variables_that_there_are() -> None:
    lines = re.findall(r"(?m)^#?(COVERS_\w+)=(.*)$", (DEPLOY / "covers.env").read_text("utf-8"))
    variables = dict(lines)
    assert variables.pop("COVERS_CONFIG") == "/etc/covers/covers.toml"
    assert load_settings(variables).store.startswith("redis://")
    assert load_server_settings(variables).bind == load_server_settings({}).bind


@pytest.mark.parametrize("name", BUILDERS)
def test_a_proxy_takes_its_configuration(name: str, require: Callable[[str], str], tmp_path: Path) -> None:
    identify(tmp_path, trustme.CA())
    front = BUILDERS[name](require(name), tmp_path, 8443, 8081, 8082)
    checked = subprocess.run(front.check, capture_output=True, text=True, check=False)
    said = checked.stdout + checked.stderr
    assert checked.returncode == 0, said
    assert "[warn" not in said.lower()


@pytest.mark.parametrize(("name", "key"), [("nginx.conf", "proxy_read_timeout"), ("haproxy.cfg", "timeout server")])
def test_a_proxy_waits_for_longer_than_the_deadline(name: str, key: str) -> None:
    assert float(setting(name, key).removesuffix("s")) > load_settings({}).deadline + 1


def test_nginx_takes_bodies_as_large_as_the_service_does() -> None:
    assert setting("nginx.conf", "client_max_body_size") == "1m"
    assert load_settings({}).max_body == 2**20


def test_nginx_leaves_connections_before_the_service_does() -> None:
    kept = re.search(r"(?m)^keepalive = (\d+)$", (ROOT / "gunicorn.conf.py").read_text("utf-8"))
    assert kept is not None
    assert float(setting("nginx.conf", "keepalive_timeout").removesuffix("s")) < float(kept[1])


def test_the_container_has_what_the_service_is_made_of() -> None:
    """What is copied into it is there, and not left out by the list of what is not."""
    copied = re.findall(r"(?m)^COPY (?!--from)(\S+)", (DEPLOY / "Containerfile").read_text("utf-8"))
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert set(copied) == kept
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_containers_check_of_its_health_asks_no_proxy(server: Service) -> None:
    """Containers are told of the proxy that their host uses, for whatever they ask."""
    text = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", "")
    (check,) = re.findall(r"(?m)^HEALTHCHECK .*?CMD (\[.*\])$", text)
    name, *arguments = json.loads(check)
    assert name == "python"

    def status(port: int) -> int:
        command = [sys.executable, *(argument.replace("8080", str(port)) for argument in arguments)]
        proxy = "http://127.0.0.1:1"
        return subprocess.run(
            command, env={"http_proxy": proxy, "HTTP_PROXY": proxy}, stderr=subprocess.DEVNULL, check=False
        ).returncode

    assert status(server.port) == 0
    assert status(1) != 0, "nobody is there"
