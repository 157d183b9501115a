"""Two servers over one Redis, behind proxies by the project's own examples, while callers ask on and on."""

import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import trustme

from tests.deploy.callers import Callers, any_item, calling
from tests.deploy.fleet import Member, running
from tests.deploy.front import BUILDERS, Front, identify, standing
from tests.store.redis_server import reserve_port, serving_redis
from tests.support.programs import path_of
from tests.support.scripted_origin import Origin
from tests.support.service import CONFIG

#: Calls that are answered before something is done, and after.
SOME = 50


@pytest.fixture(scope="module")
def shop() -> Iterator[Origin]:
    with Origin(default=any_item).serving() as serving:
        yield serving


@pytest.fixture(scope="module")
def fleet(
    require: Callable[[str], str], shop: Origin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Member]]:
    folder = tmp_path_factory.mktemp("fleet")
    with serving_redis(require("redis-server"), folder) as redis:
        config = CONFIG.format(origin=shop.url).replace('"none"', f'"{redis.url}"')
        with running(folder, config, count=2) as members:
            yield members


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def fronts(
    fleet: list[Member], authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Front]]:
    """The proxies whose programs are there, by their names."""
    one, two = (member.port for member in fleet)
    with ExitStack() as stack:
        made = {}
        for name, build in BUILDERS.items():
            if (program := path_of(name)) is not None:
                folder = tmp_path_factory.mktemp(name)
                identify(folder, authority)
                port: int = stack.enter_context(reserve_port()).getsockname()[1]
                made[name] = stack.enter_context(standing(build(program, folder, port, one, two)))
        yield made


@pytest.fixture(scope="module")
def callers(fronts: dict[str, Front], fleet: list[Member], shop: Origin, trust: ssl.SSLContext) -> dict[str, Callers]:
    """Callers behind each proxy who have lived through a reload of one server, then a rolling restart of both."""
    with ExitStack() as stack:
        asking = {
            name: stack.enter_context(calling(f"https://localhost:{front.port}/RPC2", shop, trust))
            for name, front in fronts.items()
        }

        def go_on() -> None:
            for front in fronts.values():
                front.settle()
            for some in asking.values():
                some.get(SOME)

        go_on()
        fleet[0].reload()
        go_on()
        for member in fleet:
            member.restart()
            go_on()
    return asking


@pytest.mark.parametrize("name", BUILDERS)
def test_a_reload_and_a_rolling_restart_lose_nothing(
    name: str, require: Callable[[str], str], callers: dict[str, Callers]
) -> None:
    require(name)
    assert callers[name].errors == []


def status(front: Front, trust: ssl.SSLContext, target: str) -> int:
    """Return the status of the answer to a request for what is written so."""
    with (
        socket.create_connection(("127.0.0.1", front.port), 10) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return int(connection.recv(12)[9:])


@pytest.mark.parametrize("name", BUILDERS)
def test_what_is_for_operators_is_not_for_everybody(
    name: str, require: Callable[[str], str], fronts: dict[str, Front], trust: ssl.SSLContext
) -> None:
    """However it is written."""
    require(name)
    names = ("/metrics", "/healthz", "/readyz")
    spellings = ("/%6detrics", "//metrics", "/./metrics", "/metrics?", "/metrics#", "/metrics%23", "//x/metrics")
    statuses = {target: status(fronts[name], trust, target) for target in (*names, *spellings, "http://x/metrics")}
    assert {target: code for target, code in statuses.items() if code not in {400, 404}} == {}
    assert [status(fronts[name], trust, target) for target in ("/", "/cover/7", "/static/page.css")] == [200, 307, 200]


def test_each_page_is_fetched_once_by_all_servers_together(
    require: Callable[[str], str], callers: dict[str, Callers], shop: Origin
) -> None:
    if not callers:
        require("nginx")
    pages = Counter(request.target for request in shop.requests)
    assert len(pages) > SOME * len(callers)
    assert {page: count for page, count in pages.items() if count > 1} == {}
