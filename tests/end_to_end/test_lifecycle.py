"""Starting, reloading and ending the server."""

import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.support.scripted_origin import Barrier, Origin, cover
from tests.support.service import CONFIG, ROOT, Service, environment, gunicorn_command, run_service


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"after {seconds} seconds still not: {what}"
        gevent.sleep(0.02)


WRONG_STARTS = [
    ("lru_sise = 5", {}, "covers.toml: lru_sise: unknown key, expected perhaps lru_size"),
    ("[sources.shop]\nextract = []", {}, "covers.toml: sources.shop.extract: expected `array` of length >= 1"),
    ("", {"COVERS_CONFIG": "no/such.toml"}, "no/such.toml: expected a readable TOML file"),
    ("", {"COVERS_WORKERS": "-1"}, "environment: COVERS_WORKERS: expected `int` >= 1, got -1"),
    (
        "",
        {"COVERS_LOG_LEVEL": "loud"},
        "environment: COVERS_LOG_LEVEL: expected debug, info, warning or error, got 'loud'",
    ),
    ("", {"COVERS_STORE": "redis://127.0.0.1/many"}, "environment: COVERS_STORE: expected a number as the database"),
]


@pytest.mark.parametrize(("text", "extra", "line"), WRONG_STARTS, ids=[line for _, _, line in WRONG_STARTS])
def test_a_wrong_configuration_stops_the_start_with_one_line(
    tmp_path: Path, text: str, extra: dict[str, str], line: str
) -> None:
    config = tmp_path / "covers.toml"
    config.write_text(text, "utf-8")
    ended = subprocess.run(
        gunicorn_command("--bind", "127.0.0.1:0"),
        cwd=ROOT,
        env=environment(config, extra),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode != 0
    assert line in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def test_importing_the_package_has_no_effects() -> None:
    code = (
        "import app, sys; print(sorted(name for name in sys.modules if name.split('.')[0] in {'gevent', 'requests'}))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_term_finishes_what_is_under_way(origin: Origin, tmp_path: Path) -> None:
    origin.item(42, hold := Barrier(cover()))
    with run_service(tmp_path, CONFIG.format(origin=origin.url)) as server:
        caller = gevent.spawn(server.client().get_cover, 42)
        assert hold.asked.wait(10)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Handling signal: term" in server.log.read_text(), "the signal is handled")
        hold.go.set()
        assert caller.get().endswith(".jpg")
        assert server.process.wait(20) == 0


def test_term_does_not_wait_for_idle_connections(server: Service) -> None:
    idle = [server.client() for _ in range(5)]
    for client in idle:
        client.list_sources()
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert time.monotonic() - began < 3


def test_a_worker_that_is_killed_is_replaced(origin: Origin, server: Service) -> None:
    origin.item(42, cover())
    server.client().get_cover(42)
    (before,) = server.workers()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: bool(server.workers() - {before}), "there is another worker")
    assert server.client().get_cover(42).endswith(".jpg")


def test_hup_puts_a_new_configuration_in_force_without_an_error(origin: Origin, tmp_path: Path) -> None:
    origin.item(42, cover())
    with run_service(tmp_path, CONFIG.format(origin=origin.url), workers=2) as server:
        wait_until(lambda: server.log.read_text().count("Booting worker") == 2, "both workers are there")
        server.client().get_cover(42)
        server.close_clients()
        done, errors = False, list[Exception]()

        def call_on_and_on() -> None:
            while not done:
                try:
                    with xmlrpc.client.ServerProxy(server.url) as client:
                        client.get_cover(42)
                except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
                    errors.append(error)

        callers = [gevent.spawn(call_on_and_on) for _ in range(4)]
        config = CONFIG.format(origin=origin.url)
        server.config.write_text(config + config.partition("\n\n")[2].replace("sources.ozon", "sources.shop"), "utf-8")
        before = server.workers()
        server.reload()
        wait_until(lambda: len(server.workers()) == 2 and not server.workers() & before, "all workers are new")
        done = True
        gevent.joinall(callers)
        assert errors == []
        assert "shop" in {source["name"] for source in server.client().list_sources()}


def test_hup_with_a_broken_configuration_changes_nothing(origin: Origin, server: Service) -> None:
    """Nor do workers that are started afterwards see it."""
    origin.item(42, cover())
    server.client().get_cover(42)
    server.close_clients()
    server.config.write_text("lru_sise = 5", "utf-8")
    (before,) = server.workers()
    server.reload()
    wait_until(lambda: bool(server.workers()) and before not in server.workers(), "the worker is new")
    log = server.log.read_text()
    assert "not reloaded, settings and code stay as they were" in log
    assert "lru_sise: unknown key" in log
    (reloaded,) = server.workers()
    os.kill(reloaded, signal.SIGKILL)
    wait_until(lambda: bool(server.workers() - {reloaded}), "there is another worker")
    assert server.client().get_cover(42).endswith(".jpg")


def test_a_file_that_is_edited_takes_effect_with_the_reload_only(origin: Origin, server: Service) -> None:
    server.client().list_sources()
    server.config.write_text("lru_sise = 5", "utf-8")
    (before,) = server.workers()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: bool(server.workers() - {before}), "there is another worker")
    pages = {source["name"]: source["page_url"] for source in server.client().list_sources()}
    assert pages["ozon"] == f"{origin.url}/context/detail/id/{{id}}"


def test_two_instances_with_one_home_do_not_meet(origin: Origin, tmp_path: Path) -> None:
    """There is no control socket that the second could take from the first."""
    answers: list[Any] = []
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    config = CONFIG.format(origin=origin.url)
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with run_service(folders[0], config, extra=home) as one, run_service(folders[1], config, extra=home) as two:
        answers.extend(server.client().list_sources() for server in (one, two))
    assert answers[0] == answers[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
