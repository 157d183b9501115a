"""The benchmarked servers, each started as its own documentation recommends, on a listening socket that it inherits."""

import sys
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.load import LOADS, Load
from benchmarks.processes import ROOT, Program, running

#: The configuration of our service; all other settings have their defaults.
_CONFIGURATION = r"""
store = "none"
fetch_concurrency = {max_fetches}

[sources.ozon]
page_url = "{origin}/context/detail/id/{{id}}"
id_pattern = '\d{{1,19}}'
extract = [{{ regex = '(/multimedia/audio_cd_covers/(?:\d+)\.jpg)' }}]
concurrency = {max_fetches}
private_network = true
"""


#: The connections to a server that handles one call at a time. Twisted reads from every connection that has data before
#: it sends anything, so with 256 connections the first responses would take 13 seconds.
_SERIAL_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class ServerArguments:
    """The arguments of a server: its socket's descriptor, the origin's URL, how many pages it may fetch at once."""

    socket: int
    origin: str
    max_fetches: int


@dataclass(frozen=True, slots=True)
class Server:
    """A server: its name, a description, and the function that returns its command line.

    ``has_cache``: a repeated call for an id needs no page. ``is_upper_bound``: it sends the same response to every
    request, and is not a peer. ``is_serial``: it handles one call at a time.
    """

    name: str
    title: str
    command: Callable[[ServerArguments], Sequence[str]]
    has_cache: bool = True
    is_upper_bound: bool = False
    is_serial: bool = False

    @property
    def can_wait_for_many_pages(self) -> bool:
        """Whether many calls can wait for their pages at the same time, so that their memory can be measured."""
        return not (self.is_upper_bound or self.is_serial)

    def loads(self) -> Sequence[Load]:
        """Return the loads that apply to it: hits alone for the upper bound, no ``unique`` without a cache."""
        if self.is_upper_bound:
            return [load for load in LOADS if load.name == "hits"]
        loads = [load for load in LOADS if self.has_cache or load.name != "unique"]
        return [replace(load, connections=_SERIAL_CONNECTIONS) for load in loads] if self.is_serial else loads

    @contextmanager
    def serving(self, origin: str, *, max_fetches: int, cores: AbstractSet[int], folder: Path) -> Iterator[Program]:
        """Run the server on these cores until the block ends."""
        (folder / "covers.toml").write_text(_CONFIGURATION.format(origin=origin, max_fetches=max_fetches))
        environment = {"COVERS_CONFIG": str(folder / "covers.toml"), "COVERS_WORKERS": "1"}
        with running(
            lambda descriptor: self.command(ServerArguments(descriptor, origin, max_fetches)),
            cores=cores,
            folder=folder,
            environment=environment,
        ) as program:
            yield program


def _peer(module: str) -> Callable[[ServerArguments], Sequence[str]]:
    return lambda arguments: [
        *(sys.executable, "-m", f"benchmarks.peers.{module}"),
        *(str(arguments.socket), arguments.origin, str(arguments.max_fetches)),
    ]


def _gunicorn_gevent(arguments: ServerArguments) -> Sequence[str]:
    return [
        *(sys.executable, "-m", "gunicorn", "--worker-class", "gevent", "--workers", "1", "--no-control-socket"),
        *("--bind", f"fd://{arguments.socket}"),
        f"benchmarks.peers.gunicorn_gevent:application({arguments.origin!r}, {arguments.max_fetches})",
    ]


def _ours(arguments: ServerArguments) -> Sequence[str]:
    configuration = str(ROOT / "gunicorn.conf.py")
    return [
        *(sys.executable, "-m", "gunicorn", "-c", configuration, "--bind", f"fd://{arguments.socket}"),
        *("--chdir", str(ROOT), "app:wsgi"),
    ]


OURS = "ours"

SERVERS = (
    Server(
        "twisted-blocking",
        f"Twisted, urlopen ({_SERIAL_CONNECTIONS} connections)",
        _peer("twisted_blocking"),
        has_cache=False,
        is_serial=True,
    ),
    Server("twisted-threads", "Twisted, deferToThread", _peer("twisted_threads"), has_cache=False),
    Server("twisted-cached", "Twisted, dict, deferToThread", _peer("twisted_cached")),
    Server("twisted-agent", "Twisted, dict, Agent", _peer("twisted_agent")),
    Server("simple", "SimpleXMLRPCServer, threads, dict", _peer("simple_server")),
    Server("aiohttp", "aiohttp-xmlrpc, uvloop, dict", _peer("aiohttp_server")),
    Server("gunicorn", "gunicorn -k gevent, requests, dict", _gunicorn_gevent),
    Server(OURS, "covers", _ours),
    Server("bare", "bare gevent loop (upper bound)", _peer("bare_gevent"), is_upper_bound=True),
)
