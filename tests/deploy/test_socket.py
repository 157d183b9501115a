"""A server with systemd's socket activation."""

from pathlib import Path

from tests.deploy.load_clients import cover_with_number_of_item, run_clients
from tests.deploy.restartable_server import run_servers
from tests.support.scripted_origin import Origin
from tests.support.service import CONFIG

CALLS = 50


def test_a_restart_loses_no_call(origin: Origin, tmp_path: Path) -> None:
    """New connections wait in the backlog meanwhile, and existing ones end with "Connection: close"."""
    origin.default = cover_with_number_of_item
    with run_servers(tmp_path, CONFIG.format(origin=origin.url), socket_activation=True) as (server,):
        with run_clients(f"http://127.0.0.1:{server.port}/RPC2", origin) as clients:
            clients.wait_for_calls(CALLS)
            server.restart()
            clients.wait_for_calls(CALLS)
        assert clients.errors == []
