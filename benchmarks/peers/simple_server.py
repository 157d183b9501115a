"""The standard library's XML-RPC server, a thread for each connection, a dict in front of ``urlopen``."""

from socketserver import ThreadingMixIn
from urllib.request import urlopen
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

from benchmarks.peers.given import Given, given
from benchmarks.peers.shop import Shop


class Covers:
    """Knows the covers that were asked for before; asks for the page of another in the thread of its caller."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._covers: dict[int, str] = {}

    def get_cover(self, content_id: int) -> str:
        """Return the URL of an item's cover."""
        cover = self._covers.get(content_id)
        if cover is None:
            with urlopen(self._shop.page_url(content_id)) as page:
                cover = self._covers[content_id] = self._shop.cover_on(page.read())
        return cover


class _Handler(SimpleXMLRPCRequestHandler):
    protocol_version = "HTTP/1.1"  # with which connections are kept; the default is 1.0


class _Server(ThreadingMixIn, SimpleXMLRPCServer):
    daemon_threads = True

    def __init__(self, here: Given) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, logRequests=False, bind_and_activate=False)
        self.socket.close()
        self.socket = here.listener


if __name__ == "__main__":
    given_here = given()
    server = _Server(given_here)
    server.register_instance(Covers(given_here.shop))
    server.serve_forever()
