"""The service of 2010, first stage: Twisted, and ``urlopen`` in the middle of its loop. One page at a time."""

from urllib.request import urlopen

from twisted.web.xmlrpc import XMLRPC

from benchmarks.peers.given import given
from benchmarks.peers.shop import Shop
from benchmarks.peers.twisted_site import serve


class Covers(XMLRPC):
    """Asks for the page at every call, and lets everybody else wait."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self._shop = shop

    def xmlrpc_get_cover(self, content_id: int) -> str:
        """Return the URL of an item's cover."""
        with urlopen(self._shop.page_url(content_id)) as page:
            return self._shop.cover_on(page.read())


if __name__ == "__main__":
    here = given()
    serve(Covers(here.shop), here.listener)
