"""A server whose socket systemd holds."""

from pathlib import Path

from tests.deploy.callers import any_item, calling
from tests.deploy.fleet import running
from tests.support.scripted_origin import Origin
from tests.support.service import CONFIG

SOME = 50


def test_a_restart_is_not_noticed(origin: Origin, tmp_path: Path) -> None:
    """Who comes in between waits in the socket's backlog; who has a connection is told to leave it."""
    origin.default = any_item
    with running(tmp_path, CONFIG.format(origin=origin.url), is_handed_over=True) as (server,):
        with calling(f"http://127.0.0.1:{server.port}/RPC2", origin) as callers:
            callers.get(SOME)
            server.restart()
            callers.get(SOME)
        assert callers.errors == []
