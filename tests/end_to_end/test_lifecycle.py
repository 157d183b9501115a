"""Starting, reloading and stopping the server."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import xmlrpc.client
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.server.gunicorn_server import wait_until
from tests.support.scripted_origin import Barrier, Origin, cover
from tests.support.service import CONFIG, ROOT, Service, environment, gunicorn_command, run_service

INVALID_CONFIGURATIONS = [
    ("lru_sise = 5", {}, "covers.toml: lru_sise: unknown key, expected perhaps lru_size"),
    ("[sources.shop]\nextract = []", {}, "covers.toml: sources.shop.extract: expected `array` of length >= 1"),
    ("", {"COVERS_CONFIG": "no/such.toml"}, "no/such.toml: expected a readable TOML file"),
    ("", {"COVERS_WORKERS": "-1"}, "environment: COVERS_WORKERS: expected `int` >= 1, got -1"),
    (
        "",
        {"COVERS_LOG_LEVEL": "loud"},
        "environment: COVERS_LOG_LEVEL: expected debug, info, warning or error, got 'loud'",
    ),
    ("", {"COVERS_STORE": "redis://127.0.0.1/many"}, "environment: COVERS_STORE: expected the number of a database"),
]


@pytest.mark.parametrize(
    ("text", "extra", "message"), INVALID_CONFIGURATIONS, ids=[message for _, _, message in INVALID_CONFIGURATIONS]
)
def test_an_invalid_configuration_ends_the_start_with_a_one_line_message(
    tmp_path: Path, text: str, extra: dict[str, str], message: str
) -> None:
    config = tmp_path / "covers.toml"
    config.write_text(text, "utf-8")
    result = subprocess.run(
        gunicorn_command("--bind", "127.0.0.1:0"),
        cwd=ROOT,
        env=environment(config, extra),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert result.returncode != 0
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_importing_the_package_does_not_import_gevent_or_requests() -> None:
    code = (
        "import app, sys; print(sorted(name for name in sys.modules if name.split('.')[0] in {'gevent', 'requests'}))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_term_finishes_requests_in_flight(origin: Origin, tmp_path: Path) -> None:
    origin.item(42, barrier := Barrier(cover()))
    with run_service(tmp_path, CONFIG.format(origin=origin.url)) as server:
        caller = gevent.spawn(server.client().get_cover, 42)
        assert barrier.reached.wait(10)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Handling signal: term" in server.log.read_text(), "the signal is handled")
        barrier.go.set()
        assert caller.get().endswith(".jpg")
        assert server.process.wait(20) == 0


def test_term_does_not_wait_for_idle_connections(server: Service) -> None:
    clients = [server.client() for _ in range(5)]
    for client in clients:
        client.list_sources()
    started_at = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert time.monotonic() - started_at < 3


def test_a_worker_that_is_killed_is_replaced(origin: Origin, server: Service) -> None:
    origin.item(42, cover())
    server.client().get_cover(42)
    (before,) = server.workers()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: bool(server.workers() - {before}), "another worker is running")
    assert server.client().get_cover(42).endswith(".jpg")


def test_hup_applies_a_new_configuration_without_failing_a_call(origin: Origin, tmp_path: Path) -> None:
    origin.item(42, cover())
    with run_service(tmp_path, CONFIG.format(origin=origin.url), workers=2) as server:
        wait_until(lambda: server.log.read_text().count("Booting worker") == 2, "both workers are running")
        server.client().get_cover(42)
        server.close_clients()
        done, errors = False, list[Exception]()

        def call_repeatedly() -> None:
            while not done:
                try:
                    with xmlrpc.client.ServerProxy(server.url) as client:
                        client.get_cover(42)
                except Exception as error:  # noqa: BLE001 - no call may fail in any way
                    errors.append(error)

        callers = [gevent.spawn(call_repeatedly) for _ in range(4)]
        config = CONFIG.format(origin=origin.url)
        server.config.write_text(config + config.partition("\n\n")[2].replace("sources.ozon", "sources.shop"), "utf-8")
        before = server.workers()
        server.reload()
        wait_until(
            lambda: len(server.workers()) == 2 and not server.workers() & before,
            "all workers were replaced",
            seconds=20,
        )
        done = True
        gevent.joinall(callers)
        assert errors == []
        assert "shop" in {source["name"] for source in server.client().list_sources()}


def test_hup_with_an_invalid_configuration_changes_nothing(origin: Origin, server: Service) -> None:
    """Workers that are started later do not use the invalid configuration either."""
    origin.item(42, cover())
    server.client().get_cover(42)
    server.close_clients()
    server.config.write_text("lru_sise = 5", "utf-8")
    (before,) = server.workers()
    server.reload()
    wait_until(lambda: bool(server.workers()) and before not in server.workers(), "the worker was replaced", seconds=20)
    log = server.log.read_text()
    assert "reload failed, settings and code are unchanged" in log
    assert "lru_sise: unknown key" in log
    (reloaded,) = server.workers()
    os.kill(reloaded, signal.SIGKILL)
    wait_until(lambda: bool(server.workers() - {reloaded}), "another worker is running")
    assert server.client().get_cover(42).endswith(".jpg")


def test_an_edited_configuration_has_no_effect_before_a_reload(origin: Origin, server: Service) -> None:
    server.client().list_sources()
    server.config.write_text("lru_sise = 5", "utf-8")
    (before,) = server.workers()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: bool(server.workers() - {before}), "another worker is running")
    pages = {source["name"]: source["page_url"] for source in server.client().list_sources()}
    assert pages["ozon"] == f"{origin.url}/context/detail/id/{{id}}"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A copy of the code, which the test may change."""
    copy = tmp_path / "code"
    shutil.copytree(ROOT / "app", copy / "app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "gunicorn.conf.py", copy)
    return copy


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def fetch_text(server: Service, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=20) as response:
        return str(response.read().decode())


@pytest.mark.parametrize("name", ["web/health.py", "server/worker.py", "telemetry/logs.py"])
def test_hup_with_broken_code_changes_nothing(tmp_path: Path, code: Path, name: str) -> None:
    """The modules of the worker and the logger are imported by gunicorn itself."""
    config = CONFIG.format(origin="http://127.0.0.1:9")
    with run_service(tmp_path, config, directory=code, root=code) as server:
        assert fetch_text(server, "/healthz") == "alive\n"
        before = server.workers()
        edit(code / "app" / name, "import", "imp ort")
        server.reload()
        wait_until(lambda: before.isdisjoint(server.workers()), "the worker was replaced", seconds=20)
        assert fetch_text(server, "/healthz") == "alive\n"
        assert f"settings and code are unchanged: invalid syntax ({Path(name).name}" in server.log.read_text()


@pytest.mark.parametrize("worker_class", ["app.server.Worker", "sync"])
def test_reload_serves_changed_code(tmp_path: Path, code: Path, worker_class: str) -> None:
    """With --reload, changed code, static files and settings have an effect without a signal."""
    flags = {"GUNICORN_CMD_ARGS": f"--reload --worker-class {worker_class}"}
    config = CONFIG.format(origin="http://127.0.0.1:9")
    with run_service(tmp_path, config, workers=2, extra=flags, directory=code, root=code) as server:
        assert fetch_text(server, "/healthz") == "alive\n"
        before = server.workers()
        edit(code / "app/web/health.py", '"alive"', '"alive and new"')
        wait_until(lambda: fetch_text(server, "/healthz") == "alive and new\n", "the code was reloaded", seconds=20)
        wait_until(lambda: len(server.workers()) == 2 and not server.workers() & before, "both workers are new", 20)
        assert len(server.events(event="Handling signal: hup")) == 1  # not one for each worker
        assert [event["files"] for event in server.events(event="reloading, because a file has changed")] == [
            [str(code / "app/web/health.py")]
        ]
        edit(code / "app/web/static/page.js", "\n", "\n// changed\n")
        wait_until(lambda: "// changed" in fetch_text(server, "/static/page.js"), "the file was reloaded", seconds=20)
        server.config.write_text(config + config.partition("\n\n")[2].replace("sources.ozon", "sources.shop"), "utf-8")
        wait_until(lambda: "shop" in str(server.client().list_sources()), "the settings were reloaded", seconds=20)


def test_reload_survives_broken_code(tmp_path: Path, code: Path) -> None:
    """While the code is broken, the previous code is served. The correction is reloaded, also that of a new file."""
    flags = {"GUNICORN_CMD_ARGS": "--reload"}
    config = CONFIG.format(origin="http://127.0.0.1:9")
    with run_service(tmp_path, config, extra=flags, directory=code, root=code) as server:
        assert fetch_text(server, "/healthz") == "alive\n"
        (code / "app/web/new.py").write_text("TEXT = 'alive and new", "utf-8")
        edit(code / "app/web/health.py", '"alive"', "TEXT")
        edit(code / "app/web/health.py", "import http\n", "import http\nfrom app.web.new import TEXT\n")
        wait_until(lambda: "reload failed, settings and code are unchanged" in server.log.read_text(), "it failed")
        assert fetch_text(server, "/healthz") == "alive\n"
        edit(code / "app/web/new.py", "new", "new'\n")
        wait_until(lambda: fetch_text(server, "/healthz") == "alive and new\n", "the code was reloaded", seconds=20)


def test_the_files_of_an_editor_cause_no_reload(tmp_path: Path, code: Path) -> None:
    flags = {"GUNICORN_CMD_ARGS": "--reload"}
    config = CONFIG.format(origin="http://127.0.0.1:9")
    with run_service(tmp_path, config, extra=flags, directory=code, root=code) as server:
        assert fetch_text(server, "/healthz") == "alive\n"
        for name in (".main.py.swp", "main.py~", "#main.py#", "4913"):
            (code / "app" / name).write_text("x", "utf-8")
        (code / "app/.#main.py").symlink_to("nobody@nowhere.1:1")
        gevent.sleep(1.5)
        assert server.events(event="Handling signal: hup") == []


def test_code_is_not_watched_without_the_flag(tmp_path: Path, code: Path) -> None:
    config = CONFIG.format(origin="http://127.0.0.1:9")
    with run_service(tmp_path, config, directory=code, root=code) as server:
        assert fetch_text(server, "/healthz") == "alive\n"
        edit(code / "app/web/health.py", '"alive"', '"alive and new"')
        gevent.sleep(1.5)
        assert fetch_text(server, "/healthz") == "alive\n"
        assert server.events(event="Handling signal: hup") == []


def test_two_instances_with_the_same_home_are_independent(origin: Origin, tmp_path: Path) -> None:
    """They have no control socket, which the second instance would take from the first."""
    sources: list[Any] = []
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    config = CONFIG.format(origin=origin.url)
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with run_service(folders[0], config, extra=home) as one, run_service(folders[1], config, extra=home) as two:
        sources.extend(server.client().list_sources() for server in (one, two))
    assert sources[0] == sources[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
