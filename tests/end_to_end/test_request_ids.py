"""Request ids end to end: every response has the client's id or a generated one."""

import http.client
import re
import socket
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.server.gunicorn_server import Response, receive_response, request
from tests.support.scripted_origin import Origin, cover
from tests.support.service import CONFIG, Service, run_service

CALL = xmlrpc.client.dumps((42,), "get_cover").encode()
XML = {"Content-Type": "text/xml"}
GENERATED_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{3,}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that has one cover in its cache."""
    with Origin().serving() as origin:
        origin.item(42, cover())
        config = "max_body = 10_000\n" + CONFIG.format(origin=origin.url)
        with run_service(tmp_path_factory.mktemp("ids"), config) as running:
            running.client().get_cover(42)
            yield running


def id_of(server: Service, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> str:
    """Send a request and return the id in its response."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        (own_id,) = connection.getresponse().headers.get_all("X-Request-Id", [])
        return own_id
    finally:
        connection.close()


def response_ids(responses: list[Response]) -> list[str]:
    return [
        line.partition(": ")[2]
        for response in responses
        for line in response.headers
        if line.startswith("X-Request-Id")
    ]


def repeat_call(server: Service, times: int, *headers: str) -> list[Response]:
    """Send the same bytes repeatedly on one connection, so that later responses come from the server's cache."""
    data = request("/RPC2", CALL, "Content-Type: text/xml", *headers)
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        responses = []
        for _ in range(times):
            connection.sendall(data)
            responses.append(receive_response(connection))
    return responses


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("POST", "/RPC2", XML, CALL),
        ("POST", "/RPC2", XML, b"no XML"),
        ("POST", "/RPC2", {"Content-Type": "text/plain"}, CALL),
        ("POST", "/RPC2", XML, bytes(10_001)),
        ("POST", "/RPC2", XML | {"Content-Encoding": "br"}, CALL),
        ("PUT", "/RPC2", {}, None),
        ("GET", "/nothing", {}, None),
    ],
    ids=["200", "fault", "415", "413", "415 encoding", "405", "404"],
)
def test_every_response_has_a_generated_id_or_the_clients(
    server: Service, method: str, path: str, headers: dict[str, str], body: bytes | None
) -> None:
    generated = {id_of(server, method, path, headers, body) for _ in range(2)}
    assert len(generated) == 2
    assert all(GENERATED_ID.fullmatch(own_id) for own_id in generated)
    assert id_of(server, method, path, headers | {"X-Request-Id": "mine"}, body) == "mine"


@pytest.mark.parametrize("client_id", ["a", "A-z0_9.:/+=@-", "x" * 128])
def test_a_valid_client_id_is_used(server: Service, client_id: str) -> None:
    assert id_of(server, "GET", "/", {"X-Request-Id": client_id}) == client_id


@pytest.mark.parametrize("client_id", ["", "x" * 129, "two words", "a,b", "a;b", '"a"', "é", "a\tb", "<a>"])
def test_an_invalid_client_id_is_replaced(server: Service, client_id: str) -> None:
    assert GENERATED_ID.fullmatch(id_of(server, "GET", "/", {"X-Request-Id": client_id}))


def test_two_client_ids_are_replaced(server: Service) -> None:
    (response,) = repeat_call(server, 1, "X-Request-Id: one", "X-Request-Id: two")
    assert GENERATED_ID.fullmatch(response_ids([response])[0])


def test_cached_responses_have_new_ids(server: Service) -> None:
    responses = repeat_call(server, 600)
    assert len({response.body for response in responses}) == 1
    assert len(set(response_ids(responses))) == 600


def test_cached_responses_have_the_client_id(server: Service) -> None:
    assert response_ids(repeat_call(server, 5, "X-Request-Id: mine")) == ["mine"] * 5


def test_the_ids_of_a_worker_share_a_prefix_that_no_other_worker_has(tmp_path: Path) -> None:
    """And no two requests have the same id. Fails if workers could generate the same ids after a fork."""
    access_log = {"GUNICORN_CMD_ARGS": "--access-logfile -"}
    with run_service(tmp_path, CONFIG.format(origin="http://127.0.0.1:9"), workers=2, extra=access_log) as server:
        ids, workers = set[str](), dict[str, set[int]]()
        with gevent.Timeout(60):
            while len(workers) < 2 or len(ids) < 20:
                own_id = id_of(server, "GET", "/", {})
                assert own_id not in ids
                ids.add(own_id)
                while not (events := server.events(request_id=own_id)):
                    gevent.sleep(0.001)
                workers.setdefault(own_id.partition("-")[0], set()).update(event["pid"] for event in events)
        assert len(workers) == 2
        assert set.union(*workers.values()) == server.workers()
        assert all(len(pids) == 1 for pids in workers.values())
