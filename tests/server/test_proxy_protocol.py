"""The PROXY protocol: a header with addresses replaces those of the connection, a header without keeps them."""

import csv
import re
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.gunicorn_server import (
    OUR_WORKER,
    STOCK_WORKER,
    GunicornServer,
    Response,
    receive_all,
    receive_response,
    request,
    run_gunicorn,
    status_codes,
    wait_until,
)

BODY = b"<methodCall/>"
REQUESTS = request("/echo", BODY) * 2

#: The longest line that the specification gives for a sender (PROXY protocol, 2.1).
LONGEST_LINE = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535".replace(b"f...f", b":".join([b"ffff"] * 6))

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
UNSPECIFIED, TCP4, UNIX_STREAM = 0x00, 0x11, 0x31
ADDRESSES = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2") + struct.pack(">HH", 1111, 2222)


def version_2(command: int, family: int, rest: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, family, len(rest)) + rest


WITH_ADDRESSES = {
    "version 1": b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 2222\r\n",
    "version 2": version_2(PROXY, TCP4, ADDRESSES),
    "version 2 with more fields": version_2(PROXY, TCP4, ADDRESSES + b"\x04\0\x03abc"),
}

WITHOUT_ADDRESSES = {
    "UNKNOWN": b"PROXY UNKNOWN\r\n",
    "UNKNOWN with addresses": LONGEST_LINE + b"\r\n",
    "UNKNOWN with any bytes": b"PROXY UNKNOWN \xff\0\n GET / HTTP/1.1 \r\r\n",
    "UNKNOWN of 107 bytes": b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n",
    "LOCAL": version_2(LOCAL, UNSPECIFIED),
    "LOCAL with addresses": version_2(LOCAL, TCP4, ADDRESSES),
    "LOCAL with more fields": version_2(LOCAL, UNSPECIFIED, b"\x04\0\x03abc"),
    "PROXY without a family": version_2(PROXY, UNSPECIFIED),
    "PROXY without a family, with more fields": version_2(PROXY, UNSPECIFIED, b"\x04\0\x03abc"),
}

INVALID = {
    "no space": b"PROXY UNKNOWNX\r\n",
    "lower case": b"PROXY unknown\r\n",
    "no protocol": b"PROXY \r\n      ",
    "108 bytes": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "endless": b"PROXY UNKNOWN " + b"x" * 500_000,
    "endless TCP4": b"PROXY TCP4 " + b"1" * 500_000,
    "no addresses": b"PROXY TCP4\r\n",
    "bad address": b"PROXY TCP4 192.0.2.256 192.0.2.2 1111 2222\r\n",
    "version 3": version_2(0x31, TCP4, ADDRESSES),
    "unknown command": version_2(0x22, UNSPECIFIED),
    "no Internet addresses": version_2(PROXY, UNIX_STREAM, bytes(216)),
    "half of the addresses": version_2(PROXY, TCP4, ADDRESSES[:6]),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    """A server that accepts both versions, from 127.0.0.1."""
    with run_gunicorn(tmp_path_factory.mktemp("server"), OUR_WORKER, "--proxy-protocol", "auto") as running:
        yield running


def client_addresses(responses: list[Response]) -> list[str]:
    return [re.findall(r"REMOTE_ADDR: (.*)", response.body.decode())[0] for response in responses]


@pytest.mark.parametrize("header", WITH_ADDRESSES.values(), ids=WITH_ADDRESSES.keys())
def test_the_addresses_in_a_header_are_those_of_the_whole_connection(server: GunicornServer, header: bytes) -> None:
    responses = server.exchange(header + REQUESTS)
    assert client_addresses(responses) == ["192.0.2.1", "192.0.2.1"]
    assert b"REMOTE_PORT: 1111" in responses[1].body


@pytest.mark.parametrize("header", WITHOUT_ADDRESSES.values(), ids=WITHOUT_ADDRESSES.keys())
def test_a_header_without_addresses_keeps_those_of_the_connection(server: GunicornServer, header: bytes) -> None:
    """The request has the same environ as without a header."""
    assert server.exchange(header + REQUESTS) == server.exchange(REQUESTS)


@pytest.mark.parametrize("header", [*WITH_ADDRESSES.values(), *WITHOUT_ADDRESSES.values()])
def test_a_header_may_be_split_anywhere(server: GunicornServer, header: bytes) -> None:
    whole = server.exchange(header + REQUESTS)
    assert status_codes(whole) == [200, 200]
    for end in range(1, len(header) + 2, 3):
        assert server.exchange(header[:end], header[end:] + REQUESTS) == whole


@pytest.mark.parametrize("header", INVALID.values(), ids=INVALID.keys())
def test_an_invalid_header_gets_400(server: GunicornServer, header: bytes) -> None:
    assert status_codes(server.exchange(header + REQUESTS)) == [400]


@pytest.mark.parametrize("header", [WITHOUT_ADDRESSES["UNKNOWN"], WITHOUT_ADDRESSES["LOCAL"]])
def test_a_header_from_another_address_than_the_proxys_gets_403(server: GunicornServer, header: bytes) -> None:
    """--proxy-allow-from contains only the loopback addresses 127.0.0.1 and ::1 by default."""
    assert status_codes(server.exchange(header + REQUESTS, source="127.0.0.2")) == [403]


@pytest.mark.parametrize("header", [WITHOUT_ADDRESSES["UNKNOWN"], WITHOUT_ADDRESSES["LOCAL"]])
def test_a_connection_with_only_a_header_is_closed(server: GunicornServer, header: bytes) -> None:
    """A health check may send nothing else. This is not an error."""
    size = len(server.log.read_bytes())
    with server.connect() as connection:
        connection.sendall(header)
        connection.shutdown(socket.SHUT_WR)
        assert receive_all(connection) == b""
    server.time_request()
    assert server.log.read_bytes()[size:] == b""


def test_a_header_is_not_accepted_unless_configured(tmp_path: Path) -> None:
    """Without --proxy-protocol, the line is no request. Each version can be enabled alone."""
    unknown, local = WITHOUT_ADDRESSES["UNKNOWN"], WITHOUT_ADDRESSES["LOCAL"]
    with run_gunicorn(tmp_path, OUR_WORKER) as server:
        assert status_codes(server.exchange(unknown + REQUESTS)) == [400]
        assert status_codes(server.exchange(local + REQUESTS)) == [400]
    for version, accepted, rejected in [("v1", unknown, local), ("v2", local, unknown)]:
        with run_gunicorn(tmp_path, OUR_WORKER, "--proxy-protocol", version) as server:
            assert status_codes(server.exchange(accepted + REQUESTS)) == [200, 200]
            assert status_codes(server.exchange(rejected + REQUESTS)) == [400]


def test_addresses_are_those_that_gunicorns_worker_uses(tmp_path: Path) -> None:
    data = WITH_ADDRESSES["version 1"] + REQUESTS
    option = ("--proxy-protocol", "v1")
    with run_gunicorn(tmp_path, STOCK_WORKER, *option) as stock, run_gunicorn(tmp_path, OUR_WORKER, *option) as ours:
        expected = stock.exchange(data)
        assert client_addresses(expected) == ["192.0.2.1", "192.0.2.1"]
        assert ours.exchange(data) == expected


HAPROXY = """
global
    stats socket {folder}/admin.sock mode 600
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    option httpchk GET /echo
    server one 127.0.0.1:{server_port} check inter 100ms {option}
"""


@pytest.mark.parametrize("option", ["send-proxy check-send-proxy", "send-proxy-v2 check-send-proxy"])
def test_requests_and_health_checks_of_haproxy_are_served(
    server: GunicornServer, require: Callable[[str], str], tmp_path: Path, option: str
) -> None:
    program = require("haproxy")
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    file = tmp_path / "haproxy.cfg"
    file.write_text(HAPROXY.format(folder=tmp_path, port=port, server_port=server.port, option=option), "utf-8")

    def last_check() -> str:
        """Return the status of the last health check: L7OK means that the response had the status 200."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(tmp_path / "admin.sock"))
            admin.sendall(b"show stat back 4 -1\n")
            (line,) = csv.DictReader(receive_all(admin).decode().splitlines())
        return line["check_status"]

    with (tmp_path / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([program, "-db", "-f", str(file)], stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until((tmp_path / "admin.sock").exists, "HAProxy has started")
        size = len(server.log.read_bytes())
        with socket.create_connection(("127.0.0.1", port), 10, ("127.0.0.3", 0)) as connection:
            connection.sendall(request("/echo", BODY))
            response = receive_response(connection)
        assert (response.code, client_addresses([response])) == (200, ["127.0.0.3"])
        wait_until(lambda: last_check() == "L7OK", "a health check has succeeded")
        assert b"Invalid" not in server.log.read_bytes()[size:]
    finally:
        process.terminate()
        process.wait(10)
