"""What the service logs, by its users' ways to say so: each line, the access log, terminals, levels, secrets."""

import json
import os
import re
import signal
import socket
import subprocess
import xmlrpc.client
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.server.gunicorn_server import one_answer, request, wait_until
from tests.support.scripted_origin import Origin, cover, page
from tests.support.service import CONFIG, ROOT, Service, environment, gunicorn_command, run_service

NOWHERE = CONFIG.format(origin="http://127.0.0.1:9")
XML = ("Content-Type: text/xml",)
ACCESS = {"GUNICORN_CMD_ARGS": "--access-logfile -"}


def call(method: str, *params: Any, headers: tuple[str, ...] = ()) -> bytes:
    """Return a request that calls a method."""
    return request("/RPC2", xmlrpc.client.dumps(params, method).encode(), *XML, *headers)


def say(server: Service, *requests: bytes) -> list[int]:
    """Send requests on one connection, each when the one before has been answered; return the statuses."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        answers = []
        for said in requests:
            connection.sendall(said)
            answers.append(one_answer(connection).code)
    return answers


def logged(server: Service, count: int = 1, **fields: Any) -> list[dict[str, Any]]:
    """Return the lines that have these fields, as soon as there are so many."""
    wait_until(lambda: len(server.events(**fields)) >= count, f"{count} lines with {fields}")
    return server.events(**fields)


def test_each_line_of_a_life_is_json(origin: Origin, tmp_path: Path) -> None:
    """Gunicorn's as well, and whatever callers and origins say."""
    origin.pages["/context/detail/id/42"] = page("", status="503 \x1b[31m \x85 down")
    config = CONFIG.format(origin=origin.url)
    with run_service(tmp_path, config, extra={**ACCESS, "COVERS_LOG_LEVEL": "debug"}) as server:
        agent = "User-Agent: \xa0\x85\x9b31m"
        said = [
            call("get_cover", 42, headers=(agent,)),
            call("no.such\nmethod"),
            request("/%0A%1B[1m"),
            b"\x1b[1m\r\n\r\n",
        ]
        assert say(server, *said) == [200, 200, 404, 400]
        (before,) = server.workers()
        server.reload()
        logged(server, event="settings and code are read again")
        wait_until(lambda: len(server.workers()) == 1 and before not in server.workers(), "the worker is new")
        assert say(server, call("get_cover", 42, headers=("X-Request-Id: mine",))) == [200]
        assert logged(server, logger="app.lookup.service", request_id="mine")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        events = server.events()
        assert all({"time", "level", "logger", "event", "pid"} <= event.keys() for event in events)
        assert {"gunicorn.error", "gunicorn.access", "app", "app.lookup.service"} <= {
            event["logger"] for event in events
        }
        assert server.log.read_text("utf-8").isascii()


def test_the_start_tells_version_and_settings(server: Service) -> None:
    (started,) = logged(server, event="the server is started")
    assert re.fullmatch(r"\d+\.\d+\.\d+", started["version"])
    assert (started["default_source"], started["store"], started["deadline"]) == ("ozon", "none", 10)
    assert "ozon" in started["sources"]
    assert started["pid"] == server.process.pid
    (ready,) = logged(server, event="the worker is ready")
    assert ready["pid"] in server.workers()


def test_a_fetch_is_told_at_debug_with_the_id_of_the_request_that_set_it_off(origin: Origin, tmp_path: Path) -> None:
    """Though it runs in a greenlet of its own; and entries of a multicall likewise."""
    origin.item(42, cover())
    entries = [{"methodName": "get_cover", "params": [43]}]
    said = [
        call("get_cover", 42, headers=("X-Request-Id: alone",)),
        call("system.multicall", entries, headers=("X-Request-Id: together",)),
    ]
    with run_service(tmp_path, CONFIG.format(origin=origin.url), extra={"COVERS_LOG_LEVEL": "debug"}) as server:
        say(server, *said)
        found, missing = logged(server, count=2, logger="app.lookup.service")
    assert (found["source"], found["id"], found["outcome"], found["request_id"]) == ("ozon", "42", "found", "alone")
    assert (missing["id"], missing["outcome"], missing["request_id"]) == ("43", "no_such_item", "together")
    assert 0 < found["seconds"] < 5


def test_the_next_request_of_a_connection_has_not_the_id_of_the_one_before(server: Service) -> None:
    said = [call("list_sources", headers=("X-Request-Id: mine",)), b"POST /RPC2 HTTP/1.1\r\n\r\n"]
    assert say(server, *said) == [200, 400]
    (refused,) = logged(server, level="warning", logger="gunicorn.error")
    assert "request_id" not in refused


@pytest.fixture(scope="module")
def accessed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with an access log."""
    with run_service(tmp_path_factory.mktemp("access"), NOWHERE, extra=ACCESS) as running:
        yield running


def test_a_line_of_the_access_log_has_the_requests_fields(accessed: Service) -> None:
    say(accessed, call("list_sources", headers=("X-Request-Id: fields", "User-Agent: me")))
    (event,) = logged(accessed, request_id="fields")
    assert 0 < event.pop("seconds") < 5
    assert event.pop("bytes") > 100
    assert event.pop("pid") in accessed.workers()
    assert event.pop("time")
    assert event == {
        "level": "info",
        "logger": "gunicorn.access",
        "event": "request",
        "method": "POST",
        "path": "/RPC2",
        "status": 200,
        "peer": "127.0.0.1",
        "user_agent": "me",
        "request_id": "fields",
        "rpc_method": "list_sources",
    }


@pytest.mark.parametrize(
    ("body", "method", "fault"),
    [
        (xmlrpc.client.dumps((42, "nosuch"), "get_cover"), "get_cover", -32602),
        (xmlrpc.client.dumps((), "n" * 200), "n" * 64, -32601),
        ("no XML", None, -32700),
    ],
)
def test_it_has_the_called_method_and_the_faults_code(
    accessed: Service, body: str, method: str | None, fault: int
) -> None:
    said = request("/RPC2", body.encode(), *XML, f"X-Request-Id: fault{fault}")
    assert say(accessed, said) == [200]
    (event,) = logged(accessed, request_id=f"fault{fault}")
    assert (event.get("rpc_method"), event["fault"]) == (method, fault)


def test_each_request_has_a_line_also_when_its_answer_is_the_same(accessed: Service) -> None:
    """And what is asked for has no query in it, which may hold what is nobody's business."""
    say(accessed, *[request("/cover?token=abracadabra", None, "X-Request-Id: often")] * 3)
    events = logged(accessed, count=3, request_id="often")
    assert [(event["path"], event["status"]) for event in events] == [("/cover", 404)] * 3


def test_a_format_of_somebodys_choice_stays_gunicorns_text(tmp_path: Path) -> None:
    arguments = "--access-logfile - --access-logformat '%(m)s %(s)s \"%(a)s\" %({x-request-id}o)s'"
    with run_service(tmp_path, NOWHERE, extra={"GUNICORN_CMD_ARGS": arguments}) as server:
        say(server, request("/nowhere", None, "User-Agent: me", "X-Request-Id: mine"))
        (event,) = logged(server, logger="gunicorn.access")
    assert event["event"] == 'GET 404 "me" mine'
    assert event["request_id"] == "mine"
    assert "path" not in event


def test_without_being_asked_for_there_is_no_access_log(server: Service) -> None:
    assert say(server, call("list_sources"), request("/nothing")) == [200, 404]
    server.quit()
    assert server.events(logger="gunicorn.access") == []


def test_files_of_gunicorns_flags_have_what_the_rooms_say_too(tmp_path: Path) -> None:
    """And they are opened anew on USR1, as after a rotation."""
    errors, access = tmp_path / "errors", tmp_path / "access"
    arguments = f"--error-logfile {errors} --access-logfile {access}"
    with run_service(tmp_path, NOWHERE, extra={"GUNICORN_CMD_ARGS": arguments}) as server:
        assert say(server, request("/before")) == [404]
        for file in (errors, access):
            wait_until(lambda file=file: file.exists() and file.read_text() != "", "there are lines")  # type: ignore[misc]
            file.rename(f"{file}.old")
        server.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: access.exists() and errors.exists(), "the files are opened anew")
        wait_until(lambda: say(server, request("/after")) == [404] and access.read_text() != "", "they are written to")
        server.quit()
        told = [json.loads(line) for line in Path(f"{errors}.old").read_text().splitlines()]
        assert {"the server is started", "the worker is ready"} <= {event["event"] for event in told}
        assert json.loads(access.read_text().splitlines()[-1])["path"] == "/after"
        assert server.log.read_text() == ""


def test_syslog_has_the_same_lines_behind_its_own_beginning(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(20)
        arguments = f"--log-syslog --log-syslog-to udp://127.0.0.1:{syslog.getsockname()[1]} --log-syslog-prefix shop"
        with run_service(tmp_path, NOWHERE, extra={"GUNICORN_CMD_ARGS": arguments}) as server:
            say(server, request("/", None, "X-Request-Id: mine"))
            lines = list[str]()
            while not lines or '"mine"' not in lines[-1]:
                lines.append(syslog.recv(65_536).decode().rstrip("\0"))
    events = [json.loads(line.partition("] ")[2]) for line in lines]
    assert "the worker is ready" in {event["event"] for event in events}
    assert re.match(r"<\d+>gunicorn\.shop\.access: \[\d+\] ", lines[-1])
    assert events[-1]["path"] == "/"


def test_statsd_counts_each_request_beside_the_log(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(20)
        arguments = f"--statsd-host 127.0.0.1:{statsd.getsockname()[1]}"
        with run_service(tmp_path, NOWHERE, extra={"GUNICORN_CMD_ARGS": arguments}) as server:
            say(server, *[call("list_sources")] * 3)
            count = 0
            while count < 3:
                count += statsd.recv(1000).startswith(b"gunicorn.requests:1|c")
            assert logged(server, event="the worker is ready")
            assert server.events(logger="gunicorn.access") == []


@pytest.mark.parametrize(
    ("extra", "levels"),
    [
        ({"COVERS_LOG_LEVEL": "debug"}, {"debug", "info", "warning"}),
        ({}, {"info", "warning"}),
        ({"COVERS_LOG_LEVEL": "warning"}, {"warning"}),
        ({"COVERS_LOG_LEVEL": "error"}, set()),
        ({"COVERS_LOG_LEVEL": "error", "GUNICORN_CMD_ARGS": "--log-level warning"}, {"warning"}),
    ],
)
def test_what_is_less_than_the_level_is_not_logged(tmp_path: Path, extra: dict[str, str], levels: set[str]) -> None:
    """Gunicorn's own flag beats the variable."""
    config = NOWHERE.replace('store = "none"', 'store = "redis://127.0.0.1:1/0"')
    with run_service(tmp_path, config, extra=extra) as server:
        assert say(server, call("get_cover", 42), b"bad\r\n\r\n") == [200, 400]
        server.quit()
        assert {event["level"] for event in server.events()} == levels


SECRETS = """
admin_token = "abracadabra"
store = "redis://me:sesame@127.0.0.1:1/0"

[sources.ozon.headers]
X-Key = "openup"
"""


def test_secrets_are_never_logged(origin: Origin, tmp_path: Path) -> None:
    """At no level: neither of the settings, right or wrong, nor of calls."""
    origin.item(42, cover())
    config = CONFIG.format(origin=origin.url).replace('store = "none"\n', "") + SECRETS.partition("\n\n")[2]
    config = SECRETS.partition("\n\n")[0] + config
    with run_service(tmp_path, config, extra={**ACCESS, "COVERS_LOG_LEVEL": "debug"}) as server:
        forget = [call("forget_cover", 42, "ozon", token) for token in ("abracadabra", "hocuspocus")]
        said = [call("get_cover", 42), *forget, request("/nowhere?token=abracadabra")]
        assert say(server, *said) == [200, 200, 200, 404]
        assert logged(server, event="the server is started", admin_token="***", store="redis://***@127.0.0.1:1/0")
        for wrong in ('admin_token = "abracadabra', "admin_token = 'abracadabra'\nstore = 'sesam://me:sesame@x'"):
            server.config.write_text(wrong, "utf-8")
            count = len(server.events(level="error"))
            server.reload()
            logged(server, count=count + 1, level="error")
        server.quit()
        text = server.log.read_text("utf-8")
    assert [secret for secret in ("abracadabra", "hocuspocus", "sesame", "openup") if secret in text] == []


@contextmanager
def on_a_terminal(folder: Path, **extra: str) -> Iterator[str]:
    """Run the service on a pseudo-terminal until it is ready; yield what that shows."""
    config = folder / "covers.toml"
    config.write_text(NOWHERE, "utf-8")
    reader, terminal = os.openpty()
    process = subprocess.Popen(
        gunicorn_command("--bind", "127.0.0.1:0"),
        cwd=ROOT,
        env=environment(config, {"COVERS_WORKERS": "1", **extra}),
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    try:
        with gevent.Timeout(30):
            while b"worker is ready" not in shown:
                gevent.socket.wait_read(reader)
                shown += os.read(reader, 65_536)
        yield shown.decode()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(reader)


def test_a_terminal_shows_plain_lines_in_colours(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as shown:
        assert "\x1b[" in shown
        bare = re.sub(r"\x1b\[[\d;]*m", "", shown)
        assert all(re.match(r"\d{4}-\d\d-\d\dT\S+Z \[\w+ *\] \w", line) for line in bare.splitlines()[:-1])
        assert re.search(r"the server is started +\[app\] .*version=\d", bare)


def test_no_color_is_respected(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, NO_COLOR="1") as shown:
        assert "\x1b[" not in shown


def test_a_terminal_shows_json_where_that_is_asked_for(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, COVERS_LOG_FORMAT="json") as shown:
        assert json.loads(shown.splitlines()[0])["logger"] == "gunicorn.error"


def test_a_file_has_plain_lines_where_that_is_asked_for(tmp_path: Path) -> None:
    with run_service(tmp_path, NOWHERE, extra={"COVERS_LOG_FORMAT": "plain"}) as server:
        wait_until(lambda: "the worker is ready" in server.log.read_text(), "the worker is ready")
        assert re.match(r"\d{4}-\d\d-\d\dT\S+Z \[info +\] Starting gunicorn", server.log.read_text())
