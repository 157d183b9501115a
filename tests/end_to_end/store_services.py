"""Configuration of services with stores, and calls that reach all of their workers."""

import xmlrpc.client
from typing import Any

import gevent

from tests.support.scripted_origin import Origin
from tests.support.service import CONFIG, Service

#: The cover URL of pages made by ``cover(7)``.
URL = "{origin}/multimedia/audio_cd_covers/7.jpg"


def config(origin: Origin, store: str, keys: str = "", top: str = "") -> str:
    """Return a configuration with this store, with ``keys`` in the source's table and ``top`` before all tables."""
    return f"{top}\n{CONFIG.format(origin=origin.url).replace('none', store)}{keys}"


def in_each_worker(server: Service, method: str, *arguments: Any, calls: int = 40) -> list[Any]:
    """Call over many new connections, so that every worker very probably serves some; return the results."""

    def call() -> Any:
        with xmlrpc.client.ServerProxy(server.url) as client:
            return getattr(client, method)(*arguments)

    greenlets = [gevent.spawn(call) for _ in range(calls)]
    return [greenlet.get() for greenlet in greenlets]
