"""What tests of services with stores share: how they are configured, and how all of their workers are asked."""

import xmlrpc.client
from typing import Any

import gevent

from tests.support.scripted_origin import Origin
from tests.support.service import CONFIG, Service

#: The cover that pages made by ``cover(7)`` show.
URL = "{origin}/multimedia/audio_cd_covers/7.jpg"


def config(origin: Origin, store: str, keys: str = "", top: str = "") -> str:
    return f"{top}\n{CONFIG.format(origin=origin.url).replace('none', store)}{keys}"


def in_each_worker(server: Service, method: str, *arguments: Any, calls: int = 40) -> list[Any]:
    """Call over many fresh connections, so that every worker is very likely to answer some; return the answers."""

    def call() -> Any:
        with xmlrpc.client.ServerProxy(server.url) as client:
            return getattr(client, method)(*arguments)

    calling = [gevent.spawn(call) for _ in range(calls)]
    return [greenlet.get() for greenlet in calling]
