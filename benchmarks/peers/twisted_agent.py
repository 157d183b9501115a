"""Twisted without threads, as it recommends today: ``Agent`` with a connection pool, and a dict as the cache."""

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.xmlrpc import XMLRPC

from benchmarks.peers.arguments import parse_arguments
from benchmarks.peers.origin import Origin
from benchmarks.peers.twisted_site import serve


class Covers(XMLRPC):
    """Caches covers in a dict. Other pages are fetched without blocking."""

    def __init__(self, origin: Origin, agent: Agent) -> None:
        super().__init__()
        self._origin = origin
        self._agent = agent
        self._covers: dict[int, str] = {}

    def xmlrpc_get_cover(self, content_id: int) -> "Deferred[str]":
        """Return a Deferred with the URL of an item's cover."""
        if content_id in self._covers:
            return succeed(self._covers[content_id])
        return Deferred.fromCoroutine(self._fetch(content_id))

    async def _fetch(self, content_id: int) -> str:
        response = await self._agent.request(b"GET", self._origin.page_url(content_id).encode())
        cover = self._origin.extract_cover(await readBody(response))
        self._covers[content_id] = cover
        return cover


if __name__ == "__main__":
    arguments = parse_arguments()
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = arguments.max_fetches
    serve(Covers(arguments.origin, Agent(reactor, pool=pool)), arguments.listener)
