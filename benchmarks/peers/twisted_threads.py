"""The service of 2010, second stage: the blocking ``urlopen`` is deferred to Twisted's thread pool."""

from typing import TYPE_CHECKING
from urllib.request import urlopen

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.web.xmlrpc import XMLRPC

from benchmarks.peers.given import given
from benchmarks.peers.shop import Shop
from benchmarks.peers.twisted_site import serve

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class Covers(XMLRPC):
    """Asks for the page at every call, each in a thread."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self._shop = shop

    def xmlrpc_get_cover(self, content_id: int) -> "Deferred[str]":
        """Return what will be the URL of an item's cover."""
        return deferToThread(self._fetch, content_id)

    def _fetch(self, content_id: int) -> str:
        with urlopen(self._shop.page_url(content_id)) as page:
            return self._shop.cover_on(page.read())


if __name__ == "__main__":
    here = given()
    reactor.suggestThreadPoolSize(here.fetches)
    serve(Covers(here.shop), here.listener)
