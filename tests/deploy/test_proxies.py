"""Two servers with one Redis, behind proxies with the example configurations, under continuous load."""

import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import trustme

from tests.deploy.load_clients import LoadClients, cover_with_number_of_item, run_clients
from tests.deploy.proxy import BUILDERS, Proxy, run_proxy, write_certificates
from tests.deploy.restartable_server import RestartableServer, run_servers
from tests.store.redis_server import reserve_port, serving_redis
from tests.support.programs import path_of
from tests.support.scripted_origin import Origin
from tests.support.service import CONFIG

#: Calls through each proxy before and after each restart.
CALLS = 50


@pytest.fixture(scope="module")
def shop() -> Iterator[Origin]:
    with Origin(default=cover_with_number_of_item).serving() as serving:
        yield serving


@pytest.fixture(scope="module")
def servers(
    require: Callable[[str], str], shop: Origin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[RestartableServer]]:
    folder = tmp_path_factory.mktemp("servers")
    with serving_redis(require("redis-server"), folder) as redis:
        config = CONFIG.format(origin=shop.url).replace('"none"', f'"{redis.url}"')
        with run_servers(folder, config, count=2) as running:
            yield running


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def proxies(
    servers: list[RestartableServer], authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Proxy]]:
    """The proxies whose programs are installed, by name."""
    one, two = (server.port for server in servers)
    with ExitStack() as stack:
        running = {}
        for name, build in BUILDERS.items():
            if (program := path_of(name)) is not None:
                folder = tmp_path_factory.mktemp(name)
                write_certificates(folder, authority)
                port: int = stack.enter_context(reserve_port()).getsockname()[1]
                running[name] = stack.enter_context(run_proxy(build(program, folder, port, one, two)))
        yield running


@pytest.fixture(scope="module")
def clients(
    proxies: dict[str, Proxy], servers: list[RestartableServer], shop: Origin, tls_context: ssl.SSLContext
) -> dict[str, LoadClients]:
    """The clients of each proxy, after a reload of one server and a rolling restart of both."""
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(run_clients(f"https://localhost:{proxy.port}/RPC2", shop, tls_context))
            for name, proxy in proxies.items()
        }

        def wait_for_calls() -> None:
            for proxy in proxies.values():
                proxy.wait_until_ready()
            for clients in running.values():
                clients.wait_for_calls(CALLS)

        wait_for_calls()
        servers[0].reload()
        wait_for_calls()
        for server in servers:
            server.restart()
            wait_for_calls()
    return running


@pytest.mark.parametrize("name", BUILDERS)
def test_a_reload_and_a_rolling_restart_lose_no_call(
    name: str, require: Callable[[str], str], clients: dict[str, LoadClients]
) -> None:
    require(name)
    assert clients[name].errors == []


def get_status(proxy: Proxy, tls_context: ssl.SSLContext, target: str) -> int:
    """Send a GET with this exact request target; return the status code."""
    with (
        socket.create_connection(("127.0.0.1", proxy.port), 10) as plain,
        tls_context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return int(connection.recv(12)[9:])


@pytest.mark.parametrize("name", BUILDERS)
def test_paths_for_monitoring_are_not_public(
    name: str, require: Callable[[str], str], proxies: dict[str, Proxy], tls_context: ssl.SSLContext
) -> None:
    """Nor are other spellings of these paths that the service would accept."""
    require(name)
    names = ("/metrics", "/healthz", "/readyz")
    spellings = ("/%6detrics", "//metrics", "/./metrics", "/metrics?", "/metrics#", "/metrics%23", "//x/metrics")
    targets = (*names, *spellings, "http://x/metrics")
    statuses = {target: get_status(proxies[name], tls_context, target) for target in targets}
    assert {target: status for target, status in statuses.items() if status not in {400, 404}} == {}
    public = ("/", "/cover/7", "/static/page.css")
    assert [get_status(proxies[name], tls_context, target) for target in public] == [200, 307, 200]


def test_each_page_is_fetched_once_by_all_servers_together(
    require: Callable[[str], str], clients: dict[str, LoadClients], shop: Origin
) -> None:
    if not clients:
        require("nginx")
    requests = Counter(request.target for request in shop.requests)
    assert len(requests) > CALLS * len(clients)
    assert {target: count for target, count in requests.items() if count > 1} == {}
