"""What Twisted would have it today: no threads, ``Agent`` over a pool of kept connections, a dict in front."""

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.xmlrpc import XMLRPC

from benchmarks.peers.given import given
from benchmarks.peers.shop import Shop
from benchmarks.peers.twisted_site import serve


class Covers(XMLRPC):
    """Knows the covers that were asked for before; asks for the page of another without blocking."""

    def __init__(self, shop: Shop, agent: Agent) -> None:
        super().__init__()
        self._shop = shop
        self._agent = agent
        self._covers: dict[int, str] = {}

    def xmlrpc_get_cover(self, content_id: int) -> "Deferred[str]":
        """Return what is or will be the URL of an item's cover."""
        if content_id in self._covers:
            return succeed(self._covers[content_id])
        return Deferred.fromCoroutine(self._fetch(content_id))

    async def _fetch(self, content_id: int) -> str:
        response = await self._agent.request(b"GET", self._shop.page_url(content_id).encode())
        cover = self._shop.cover_on(await readBody(response))
        self._covers[content_id] = cover
        return cover


if __name__ == "__main__":
    here = given()
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = here.fetches
    serve(Covers(here.shop, Agent(reactor, pool=pool)), here.listener)
