"""The service of 2010, third stage: a dict in front of the threads, since most ids repeat."""

from urllib.request import urlopen

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread
from twisted.web.xmlrpc import XMLRPC

from benchmarks.peers.given import given
from benchmarks.peers.shop import Shop
from benchmarks.peers.twisted_site import serve


class Covers(XMLRPC):
    """Knows the covers that were asked for before; asks for the page of another in a thread."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self._shop = shop
        self._covers: dict[int, str] = {}

    def xmlrpc_get_cover(self, content_id: int) -> "Deferred[str]":
        """Return what is or will be the URL of an item's cover."""
        if content_id in self._covers:
            return succeed(self._covers[content_id])
        return deferToThread(self._fetch, content_id).addCallback(self._keep, content_id)

    def _fetch(self, content_id: int) -> str:
        with urlopen(self._shop.page_url(content_id)) as page:
            return self._shop.cover_on(page.read())

    def _keep(self, cover: str, content_id: int) -> str:
        self._covers[content_id] = cover
        return cover


if __name__ == "__main__":
    here = given()
    reactor.suggestThreadPoolSize(here.fetches)
    serve(Covers(here.shop), here.listener)
