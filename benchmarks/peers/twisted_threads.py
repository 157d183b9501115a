"""The service of 2010, second version: the blocking ``urlopen`` runs in Twisted's thread pool."""

from typing import TYPE_CHECKING
from urllib.request import urlopen

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.web.xmlrpc import XMLRPC

from benchmarks.peers.arguments import parse_arguments
from benchmarks.peers.origin import Origin
from benchmarks.peers.twisted_site import serve

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class Covers(XMLRPC):
    """Fetches the page in every call, in a thread."""

    def __init__(self, origin: Origin) -> None:
        super().__init__()
        self._origin = origin

    def xmlrpc_get_cover(self, content_id: int) -> "Deferred[str]":
        """Return a Deferred with the URL of an item's cover."""
        return deferToThread(self._fetch, content_id)

    def _fetch(self, content_id: int) -> str:
        with urlopen(self._origin.page_url(content_id)) as page:
            return self._origin.extract_cover(page.read())


if __name__ == "__main__":
    arguments = parse_arguments()
    reactor.suggestThreadPoolSize(arguments.max_fetches)
    serve(Covers(arguments.origin), arguments.listener)
