"""The service of 2010, third version: like the second one, with a dict as the cache, because most ids repeat."""

from urllib.request import urlopen

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread
from twisted.web.xmlrpc import XMLRPC

from benchmarks.peers.arguments import parse_arguments
from benchmarks.peers.origin import Origin
from benchmarks.peers.twisted_site import serve


class Covers(XMLRPC):
    """Caches covers in a dict. Other pages are fetched in a thread."""

    def __init__(self, origin: Origin) -> None:
        super().__init__()
        self._origin = origin
        self._covers: dict[int, str] = {}

    def xmlrpc_get_cover(self, content_id: int) -> "Deferred[str]":
        """Return a Deferred with the URL of an item's cover."""
        if content_id in self._covers:
            return succeed(self._covers[content_id])
        return deferToThread(self._fetch, content_id).addCallback(self._keep, content_id)

    def _fetch(self, content_id: int) -> str:
        with urlopen(self._origin.page_url(content_id)) as page:
            return self._origin.extract_cover(page.read())

    def _keep(self, cover: str, content_id: int) -> str:
        self._covers[content_id] = cover
        return cover


if __name__ == "__main__":
    arguments = parse_arguments()
    reactor.suggestThreadPoolSize(arguments.max_fetches)
    serve(Covers(arguments.origin), arguments.listener)
