"""The servers that are compared, and how each is started: what its own documentation says, on a socket handed over."""

import sys
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.load import LOADS, Load
from benchmarks.processes import ROOT, Program, running

#: Ours: everything else is as it is without a configuration.
_CONFIGURATION = r"""
store = "none"
fetch_concurrency = {fetches}

[sources.ozon]
page_url = "{shop}/context/detail/id/{{id}}"
id_pattern = '\d{{1,19}}'
extract = [{{ regex = '(/multimedia/audio_cd_covers/(?:\d+)\.jpg)' }}]
concurrency = {fetches}
private_network = true
"""


#: Callers of a server that has one call under way at a time. Twisted sends nothing before it has read from everybody
#: who has said something, so 256 callers would wait 13 seconds for their first answers.
_SERIAL_CALLERS = 8


@dataclass(frozen=True, slots=True)
class Place:
    """What a server is given: its socket's descriptor, the shop's address, how many pages it may fetch at once."""

    socket: int
    shop: str
    fetches: int


@dataclass(frozen=True, slots=True)
class Server:
    """A server: its name, what it is, how it is started, and what it can be asked.

    ``remembers``: a second call for an id needs no page. ``is_ceiling``: it has the answer to one call only, and is
    no peer. ``is_serial``: it has one call under way at a time.
    """

    name: str
    title: str
    command: Callable[[Place], Sequence[str]]
    remembers: bool = True
    is_ceiling: bool = False
    is_serial: bool = False

    @property
    def holds(self) -> bool:
        """Whether it can have many calls wait for their pages."""
        return not (self.is_ceiling or self.is_serial)

    def loads(self) -> Sequence[Load]:
        """Return the loads that mean something to it; to the ceiling only hits do."""
        if self.is_ceiling:
            return [load for load in LOADS if load.name == "hits"]
        if self.is_serial:
            return [replace(load, callers=_SERIAL_CALLERS) for load in LOADS if load.name != "respelled"]
        return [load for load in LOADS if self.remembers or load.name != "respelled"]

    @contextmanager
    def serving(self, shop: str, *, fetches: int, cores: AbstractSet[int], folder: Path) -> Iterator[Program]:
        """Run the server on these cores until the block ends."""
        (folder / "covers.toml").write_text(_CONFIGURATION.format(shop=shop, fetches=fetches))
        environment = {"COVERS_CONFIG": str(folder / "covers.toml"), "COVERS_WORKERS": "1"}
        with running(
            lambda descriptor: self.command(Place(descriptor, shop, fetches)),
            cores=cores,
            folder=folder,
            environment=environment,
        ) as program:
            yield program


def _peer(module: str) -> Callable[[Place], Sequence[str]]:
    return lambda place: [
        *(sys.executable, "-m", f"benchmarks.peers.{module}"),
        *(str(place.socket), place.shop, str(place.fetches)),
    ]


def _gunicorn_gevent(place: Place) -> Sequence[str]:
    return [
        *(sys.executable, "-m", "gunicorn", "--worker-class", "gevent", "--workers", "1", "--no-control-socket"),
        *("--bind", f"fd://{place.socket}"),
        f"benchmarks.peers.gunicorn_gevent:application({place.shop!r}, {place.fetches})",
    ]


def _ours(place: Place) -> Sequence[str]:
    configuration = str(ROOT / "gunicorn.conf.py")
    return [
        *(sys.executable, "-m", "gunicorn", "-c", configuration, "--bind", f"fd://{place.socket}"),
        *("--chdir", str(ROOT), "app:wsgi"),
    ]


OURS = "ours"

SERVERS = (
    Server(
        "twisted-blocking",
        f"Twisted, urlopen ({_SERIAL_CALLERS} callers)",
        _peer("twisted_blocking"),
        remembers=False,
        is_serial=True,
    ),
    Server("twisted-threads", "Twisted, deferToThread", _peer("twisted_threads"), remembers=False),
    Server("twisted-cached", "Twisted, dict, deferToThread", _peer("twisted_cached")),
    Server("twisted-agent", "Twisted, dict, Agent", _peer("twisted_agent")),
    Server("simple", "SimpleXMLRPCServer, threads, dict", _peer("simple_server")),
    Server("aiohttp", "aiohttp-xmlrpc, uvloop, dict", _peer("aiohttp_server")),
    Server("gunicorn", "gunicorn -k gevent, requests, dict", _gunicorn_gevent),
    Server(OURS, "covers", _ours),
    Server("bare", "bare gevent loop (the ceiling)", _peer("bare_gevent"), is_ceiling=True),
)
