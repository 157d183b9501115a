"""What a running service logs: line formats, the access log, terminals, levels, secrets."""

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

from tests.server.gunicorn_server import receive_response, request, wait_until
from tests.support.scripted_origin import Origin, cover, page
from tests.support.service import CONFIG, ROOT, Service, environment, gunicorn_command, run_service

NO_ORIGIN = CONFIG.format(origin="http://127.0.0.1:9")
XML_HEADERS = ("Content-Type: text/xml",)
ACCESS_LOG = {"GUNICORN_CMD_ARGS": "--access-logfile -"}


def call(method: str, *params: Any, headers: tuple[str, ...] = ()) -> bytes:
    """Return an HTTP request that calls an XML-RPC method."""
    return request("/RPC2", xmlrpc.client.dumps(params, method).encode(), *XML_HEADERS, *headers)


def send(server: Service, *requests: bytes) -> list[int]:
    """Send requests one after the other on one connection, and return the status of each response."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        statuses = []
        for data in requests:
            connection.sendall(data)
            statuses.append(receive_response(connection).code)
    return statuses


def logged(server: Service, count: int = 1, **fields: Any) -> list[dict[str, Any]]:
    """Wait until ``count`` events with these fields are logged, and return all of them."""
    wait_until(lambda: len(server.events(**fields)) >= count, f"{count} events with {fields} are logged")
    return server.events(**fields)


def test_every_line_from_start_to_shutdown_is_json(origin: Origin, tmp_path: Path) -> None:
    """This includes gunicorn's own lines and lines with hostile text from clients and origins."""
    origin.pages["/context/detail/id/42"] = page("", status="503 \x1b[31m \x85 down")
    config = CONFIG.format(origin=origin.url)
    with run_service(tmp_path, config, extra={**ACCESS_LOG, "COVERS_LOG_LEVEL": "debug"}) as server:
        agent = "User-Agent: \xa0\x85\x9b31m"
        requests = [
            call("get_cover", 42, headers=(agent,)),
            call("no.such\nmethod"),
            request("/%0A%1B[1m"),
            b"\x1b[1m\r\n\r\n",
        ]
        assert send(server, *requests) == [200, 200, 404, 400]
        (before,) = server.workers()
        server.reload()
        logged(server, event="settings and code were reloaded")
        wait_until(lambda: len(server.workers()) == 1 and before not in server.workers(), "the worker was replaced")
        assert send(server, call("get_cover", 42, headers=("X-Request-Id: mine",))) == [200]
        assert logged(server, logger="app.lookup.service", request_id="mine")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        events = server.events()
        assert all({"time", "level", "logger", "event", "pid"} <= event.keys() for event in events)
        assert {"gunicorn.error", "gunicorn.access", "app", "app.lookup.service"} <= {
            event["logger"] for event in events
        }
        assert server.log.read_text("utf-8").isascii()


def test_the_start_logs_the_version_and_the_settings(server: Service) -> None:
    (started,) = logged(server, event="the server has started")
    assert re.fullmatch(r"\d+\.\d+\.\d+", started["version"])
    assert (started["default_source"], started["store"], started["deadline"]) == ("ozon", "none", 10)
    assert "ozon" in started["sources"]
    assert started["pid"] == server.process.pid
    (ready,) = logged(server, event="the worker is ready")
    assert ready["pid"] in server.workers()


def test_a_fetch_is_logged_at_debug_with_the_id_of_its_request(origin: Origin, tmp_path: Path) -> None:
    """The fetch runs in another greenlet than the request. So do the calls of a multicall."""
    origin.item(42, cover())
    entries = [{"methodName": "get_cover", "params": [43]}]
    requests = [
        call("get_cover", 42, headers=("X-Request-Id: single",)),
        call("system.multicall", entries, headers=("X-Request-Id: multi",)),
    ]
    with run_service(tmp_path, CONFIG.format(origin=origin.url), extra={"COVERS_LOG_LEVEL": "debug"}) as server:
        send(server, *requests)
        found, missing = logged(server, count=2, logger="app.lookup.service")
    assert (found["source"], found["id"], found["outcome"], found["request_id"]) == ("ozon", "42", "found", "single")
    assert (missing["id"], missing["outcome"], missing["request_id"]) == ("43", "no_such_item", "multi")
    assert 0 < found["seconds"] < 5


def test_a_request_does_not_inherit_the_id_of_the_previous_one_on_its_connection(server: Service) -> None:
    requests = [call("list_sources", headers=("X-Request-Id: mine",)), b"POST /RPC2 HTTP/1.1\r\n\r\n"]
    assert send(server, *requests) == [200, 400]
    (rejected,) = logged(server, level="warning", logger="gunicorn.error")
    assert "request_id" not in rejected


@pytest.fixture(scope="module")
def access_logging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with an access log, for all tests of the module."""
    with run_service(tmp_path_factory.mktemp("access"), NO_ORIGIN, extra=ACCESS_LOG) as running:
        yield running


def test_an_access_log_line_has_the_fields_of_the_request(access_logging: Service) -> None:
    send(access_logging, call("list_sources", headers=("X-Request-Id: fields", "User-Agent: test")))
    (event,) = logged(access_logging, request_id="fields")
    assert 0 < event.pop("seconds") < 5
    assert event.pop("bytes") > 100
    assert event.pop("pid") in access_logging.workers()
    assert event.pop("time")
    assert event == {
        "level": "info",
        "logger": "gunicorn.access",
        "event": "request",
        "method": "POST",
        "path": "/RPC2",
        "status": 200,
        "peer": "127.0.0.1",
        "user_agent": "test",
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
def test_an_access_log_line_has_the_called_method_and_the_fault_code(
    access_logging: Service, body: str, method: str | None, fault: int
) -> None:
    http_request = request("/RPC2", body.encode(), *XML_HEADERS, f"X-Request-Id: fault{fault}")
    assert send(access_logging, http_request) == [200]
    (event,) = logged(access_logging, request_id=f"fault{fault}")
    assert (event.get("rpc_method"), event["fault"]) == (method, fault)


def test_repeated_requests_have_an_access_log_line_each(access_logging: Service) -> None:
    """The path is logged without the query, which may contain a secret."""
    send(access_logging, *[request("/cover?token=abracadabra", None, "X-Request-Id: repeated")] * 3)
    events = logged(access_logging, count=3, request_id="repeated")
    assert [(event["path"], event["status"]) for event in events] == [("/cover", 404)] * 3


def test_a_custom_access_log_format_is_logged_as_gunicorn_formats_it(tmp_path: Path) -> None:
    arguments = "--access-logfile - --access-logformat '%(m)s %(s)s \"%(a)s\" %({x-request-id}o)s'"
    with run_service(tmp_path, NO_ORIGIN, extra={"GUNICORN_CMD_ARGS": arguments}) as server:
        send(server, request("/nowhere", None, "User-Agent: test", "X-Request-Id: mine"))
        (event,) = logged(server, logger="gunicorn.access")
    assert event["event"] == 'GET 404 "test" mine'
    assert event["request_id"] == "mine"
    assert "path" not in event


def test_there_is_no_access_log_by_default(server: Service) -> None:
    assert send(server, call("list_sources"), request("/nothing")) == [200, 404]
    server.quit()
    assert server.events(logger="gunicorn.access") == []


def test_log_files_contain_the_applications_events_and_are_reopened_on_usr1(tmp_path: Path) -> None:
    """A log rotation renames the files and then sends USR1."""
    errors, access = tmp_path / "errors", tmp_path / "access"
    arguments = f"--error-logfile {errors} --access-logfile {access}"
    with run_service(tmp_path, NO_ORIGIN, extra={"GUNICORN_CMD_ARGS": arguments}) as server:
        assert send(server, request("/before")) == [404]
        for file in (errors, access):
            wait_until(lambda file=file: file.exists() and file.read_text() != "", "lines are written")  # type: ignore[misc]
            file.rename(f"{file}.old")
        server.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: access.exists() and errors.exists(), "the files are reopened")
        wait_until(
            lambda: send(server, request("/after")) == [404] and access.read_text() != "",
            "the reopened files are written",
        )
        server.quit()
        events = [json.loads(line) for line in Path(f"{errors}.old").read_text().splitlines()]
        assert {"the server has started", "the worker is ready"} <= {event["event"] for event in events}
        assert json.loads(access.read_text().splitlines()[-1])["path"] == "/after"
        assert server.log.read_text() == ""


def test_syslog_messages_have_gunicorns_prefix_and_the_same_lines(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(20)
        arguments = f"--log-syslog --log-syslog-to udp://127.0.0.1:{syslog.getsockname()[1]} --log-syslog-prefix shop"
        with run_service(tmp_path, NO_ORIGIN, extra={"GUNICORN_CMD_ARGS": arguments}) as server:
            send(server, request("/", None, "X-Request-Id: mine"))
            lines = list[str]()
            while not lines or '"mine"' not in lines[-1]:
                lines.append(syslog.recv(65_536).decode().rstrip("\0"))
    events = [json.loads(line.partition("] ")[2]) for line in lines]
    assert "the worker is ready" in {event["event"] for event in events}
    assert re.match(r"<\d+>gunicorn\.shop\.access: \[\d+\] ", lines[-1])
    assert events[-1]["path"] == "/"


def test_statsd_counts_each_request_without_an_access_log(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(20)
        arguments = f"--statsd-host 127.0.0.1:{statsd.getsockname()[1]}"
        with run_service(tmp_path, NO_ORIGIN, extra={"GUNICORN_CMD_ARGS": arguments}) as server:
            send(server, *[call("list_sources")] * 3)
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
def test_events_below_the_log_level_are_not_logged(tmp_path: Path, extra: dict[str, str], levels: set[str]) -> None:
    """Gunicorn's flag overrides the variable."""
    config = NO_ORIGIN.replace('store = "none"', 'store = "redis://127.0.0.1:1/0"')
    with run_service(tmp_path, config, extra=extra) as server:
        assert send(server, call("get_cover", 42), b"bad\r\n\r\n") == [200, 400]
        server.quit()
        assert {event["level"] for event in server.events()} == levels


SECRETS = """
admin_token = "abracadabra"
store = "redis://me:sesame@127.0.0.1:1/0"

[sources.ozon.headers]
X-Key = "openup"
"""


def test_secrets_are_never_logged(origin: Origin, tmp_path: Path) -> None:
    """At the level debug: neither those of valid and invalid settings, nor those in requests."""
    origin.item(42, cover())
    config = CONFIG.format(origin=origin.url).replace('store = "none"\n', "") + SECRETS.partition("\n\n")[2]
    config = SECRETS.partition("\n\n")[0] + config
    with run_service(tmp_path, config, extra={**ACCESS_LOG, "COVERS_LOG_LEVEL": "debug"}) as server:
        forget_calls = [call("forget_cover", 42, "ozon", token) for token in ("abracadabra", "hocuspocus")]
        requests = [call("get_cover", 42), *forget_calls, request("/nowhere?token=abracadabra")]
        assert send(server, *requests) == [200, 200, 200, 404]
        assert logged(server, event="the server has started", admin_token="***", store="redis://***@127.0.0.1:1/0")
        for invalid in ('admin_token = "abracadabra', "admin_token = 'abracadabra'\nstore = 'sesam://me:sesame@x'"):
            server.config.write_text(invalid, "utf-8")
            count = len(server.events(level="error"))
            server.reload()
            logged(server, count=count + 1, level="error")
        server.quit()
        text = server.log.read_text("utf-8")
    assert [secret for secret in ("abracadabra", "hocuspocus", "sesame", "openup") if secret in text] == []


@contextmanager
def terminal_output(folder: Path, **extra: str) -> Iterator[str]:
    """Run the service on a pseudo-terminal until it is ready, and yield its output."""
    config = folder / "covers.toml"
    config.write_text(NO_ORIGIN, "utf-8")
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
    output = b""
    try:
        with gevent.Timeout(30):
            while b"worker is ready" not in output:
                gevent.socket.wait_read(reader)
                output += os.read(reader, 65_536)
        yield output.decode()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(reader)


def test_a_terminal_shows_coloured_plain_text(tmp_path: Path) -> None:
    with terminal_output(tmp_path) as output:
        assert "\x1b[" in output
        plain = re.sub(r"\x1b\[[\d;]*m", "", output)
        assert all(re.match(r"\d{4}-\d\d-\d\dT\S+Z \[\w+ *\] \w", line) for line in plain.splitlines()[:-1])
        assert re.search(r"the server has started +\[app\] .*version=\d", plain)


def test_no_color_is_respected(tmp_path: Path) -> None:
    with terminal_output(tmp_path, NO_COLOR="1") as output:
        assert "\x1b[" not in output


def test_a_terminal_shows_json_if_configured(tmp_path: Path) -> None:
    with terminal_output(tmp_path, COVERS_LOG_FORMAT="json") as output:
        assert json.loads(output.splitlines()[0])["logger"] == "gunicorn.error"


def test_a_file_contains_plain_text_if_configured(tmp_path: Path) -> None:
    with run_service(tmp_path, NO_ORIGIN, extra={"COVERS_LOG_FORMAT": "plain"}) as server:
        wait_until(lambda: "the worker is ready" in server.log.read_text(), "the worker is ready")
        assert re.match(r"\d{4}-\d\d-\d\dT\S+Z \[info +\] Starting gunicorn", server.log.read_text())
