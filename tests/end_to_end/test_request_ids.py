"""Ids of requests: each has one, the caller's or one of ours, and its answer tells it."""

import http.client
import re
import socket
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.server.gunicorn_server import Answer, one_answer, request
from tests.support.scripted_origin import Origin, cover
from tests.support.service import CONFIG, Service, run_service

CALL = xmlrpc.client.dumps((42,), "get_cover").encode()
XML = {"Content-Type": "text/xml"}
OURS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{3,}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that knows one cover."""
    with Origin().serving() as origin:
        origin.item(42, cover())
        config = "max_body = 10_000\n" + CONFIG.format(origin=origin.url)
        with run_service(tmp_path_factory.mktemp("ids"), config) as running:
            running.client().get_cover(42)
            yield running


def id_of(server: Service, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> str:
    """Ask, and return the id that the answer tells."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        (told,) = connection.getresponse().headers.get_all("X-Request-Id", [])
        return told
    finally:
        connection.close()


def ids(answers: list[Answer]) -> list[str]:
    return [line.partition(": ")[2] for answer in answers for line in answer.headers if line.startswith("X-Request-Id")]


def ask_again(server: Service, times: int, *headers: str) -> list[Answer]:
    """Send the same bytes so many times on one connection; the later ones are answered without being read."""
    said = request("/RPC2", CALL, "Content-Type: text/xml", *headers)
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        answers = []
        for _ in range(times):
            connection.sendall(said)
            answers.append(one_answer(connection))
    return answers


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
def test_every_answer_has_an_id_that_was_made_or_given(
    server: Service, method: str, path: str, headers: dict[str, str], body: bytes | None
) -> None:
    made = {id_of(server, method, path, headers, body) for _ in range(2)}
    assert len(made) == 2
    assert all(OURS.fullmatch(one) for one in made)
    assert id_of(server, method, path, headers | {"X-Request-Id": "mine"}, body) == "mine"


@pytest.mark.parametrize("given", ["a", "A-z0_9.:/+=@-", "x" * 128])
def test_a_callers_id_is_its_own(server: Service, given: str) -> None:
    assert id_of(server, "GET", "/", {"X-Request-Id": given}) == given


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", "a,b", "a;b", '"a"', "é", "a\tb", "<a>"])
def test_one_that_is_none_is_replaced(server: Service, given: str) -> None:
    assert OURS.fullmatch(id_of(server, "GET", "/", {"X-Request-Id": given}))


def test_two_of_them_are_none(server: Service) -> None:
    (answer,) = ask_again(server, 1, "X-Request-Id: one", "X-Request-Id: two")
    assert OURS.fullmatch(ids([answer])[0])


def test_answers_that_are_given_again_have_ids_of_their_own(server: Service) -> None:
    answers = ask_again(server, 600)
    assert len({answer.body for answer in answers}) == 1
    assert len(set(ids(answers))) == 600


def test_a_callers_id_is_in_answers_that_are_given_again(server: Service) -> None:
    assert ids(ask_again(server, 5, "X-Request-Id: mine")) == ["mine"] * 5


def test_workers_have_prefixes_of_their_own(tmp_path: Path) -> None:
    with run_service(tmp_path, CONFIG.format(origin="http://127.0.0.1:9"), workers=2) as server:
        prefixes = set[str]()
        with gevent.Timeout(20):
            while len(prefixes) < 2:
                prefixes.add(id_of(server, "GET", "/", {}).partition("-")[0])
