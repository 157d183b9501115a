"""The examples in deploy/ are accepted by their programs and fit the settings of the service."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from app.config.loading import load_server_settings, load_settings
from tests.deploy.proxy import BUILDERS, DEPLOY, write_certificates
from tests.support.service import ROOT, Service

UNITS = ("covers.service", "covers.socket")

#: The highest exposure level, from 0 to 100, that systemd-analyze may report for the service.
MAX_EXPOSURE = 15


def setting(name: str, key: str) -> str:
    """Return the value of a key of an example. The key is the first word of its line."""
    (value,) = re.findall(rf"(?m)^\s*{key}[ =]\s*([^;\n]+)", (DEPLOY / name).read_text("utf-8"))
    return str(value)


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, with the paths of this project."""
    for name in UNITS:
        text = (DEPLOY / name).read_text("utf-8")
        text = text.replace("/opt/covers/.venv/bin", str(Path(sys.executable).parent)).replace("/opt/covers", str(ROOT))
        (tmp_path / name).write_text(text, "utf-8")
    return [tmp_path / name for name in UNITS]


def test_systemd_accepts_the_units(require: Callable[[str], str], units: list[Path]) -> None:
    verified = subprocess.run(
        [require("systemd-analyze"), "verify", "--man=no", *map(str, units)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_service_is_sandboxed(require: Callable[[str], str], units: list[Path]) -> None:
    command = [require("systemd-analyze"), "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", str(units[0])]
    analysed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert analysed.returncode == 0, analysed.stdout


def test_the_stop_timeout_covers_a_reload_and_a_graceful_shutdown() -> None:
    assert float(setting("covers.service", "TimeoutStopSec")) > 2 * (load_settings({}).deadline + 15)


def test_the_files_named_by_the_unit_exist() -> None:
    named = re.findall(r"/opt/covers/(?!\.venv)([\w./-]+)", (DEPLOY / "covers.service").read_text("utf-8"))
    assert "gunicorn.conf.py" in named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_environment_file_has_valid_variables() -> None:
    lines = re.findall(r"(?m)^#?(COVERS_\w+)=(.*)$", (DEPLOY / "covers.env").read_text("utf-8"))
    variables = dict(lines)
    assert variables.pop("COVERS_CONFIG") == "/etc/covers/covers.toml"
    assert load_settings(variables).store.startswith("redis://")
    assert load_server_settings(variables).bind == load_server_settings({}).bind


@pytest.mark.parametrize("name", BUILDERS)
def test_a_proxy_accepts_its_configuration(name: str, require: Callable[[str], str], tmp_path: Path) -> None:
    write_certificates(tmp_path, trustme.CA())
    proxy = BUILDERS[name](require(name), tmp_path, 8443, 8081, 8082)
    checked = subprocess.run(proxy.check_command, capture_output=True, text=True, check=False)
    output = checked.stdout + checked.stderr
    assert checked.returncode == 0, output
    assert "[warn" not in output.lower()


@pytest.mark.parametrize(("name", "key"), [("nginx.conf", "proxy_read_timeout"), ("haproxy.cfg", "timeout server")])
def test_the_timeout_of_a_proxy_is_longer_than_the_deadline(name: str, key: str) -> None:
    assert float(setting(name, key).removesuffix("s")) > load_settings({}).deadline + 1


def test_nginx_accepts_bodies_as_large_as_the_service_does() -> None:
    assert setting("nginx.conf", "client_max_body_size") == "1m"
    assert load_settings({}).max_body == 2**20


def test_nginx_closes_idle_connections_before_the_service_does() -> None:
    keepalive = re.search(r"(?m)^keepalive = (\d+)$", (ROOT / "gunicorn.conf.py").read_text("utf-8"))
    assert keepalive is not None
    assert float(setting("nginx.conf", "keepalive_timeout").removesuffix("s")) < float(keepalive[1])


def test_the_container_build_copies_existing_files() -> None:
    """It copies exactly the files that .dockerignore includes, and all of them exist."""
    copied = re.findall(r"(?m)^COPY (?!--from)(\S+)", (DEPLOY / "Containerfile").read_text("utf-8"))
    included = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert set(copied) == included
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_health_check_of_the_container_uses_no_proxy(server: Service) -> None:
    """Container engines pass the proxy variables of the host into containers."""
    text = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", "")
    (check,) = re.findall(r"(?m)^HEALTHCHECK .*?CMD (\[.*\])$", text)
    name, *arguments = json.loads(check)
    assert name == "python"

    def exit_status(port: int) -> int:
        command = [sys.executable, *(argument.replace("8080", str(port)) for argument in arguments)]
        proxy = "http://127.0.0.1:1"
        return subprocess.run(
            command, env={"http_proxy": proxy, "HTTP_PROXY": proxy}, stderr=subprocess.DEVNULL, check=False
        ).returncode

    assert exit_status(server.port) == 0
    assert exit_status(1) != 0, "no server listens on this port"
