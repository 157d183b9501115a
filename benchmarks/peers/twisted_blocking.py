"""The service of 2010, first version: Twisted with a blocking ``urlopen``, so that it fetches one page at a time."""

from urllib.request import urlopen

from twisted.web.xmlrpc import XMLRPC

from benchmarks.peers.arguments import parse_arguments
from benchmarks.peers.origin import Origin
from benchmarks.peers.twisted_site import serve


class Covers(XMLRPC):
    """Fetches the page in every call, which blocks the event loop."""

    def __init__(self, origin: Origin) -> None:
        super().__init__()
        self._origin = origin

    def xmlrpc_get_cover(self, content_id: int) -> str:
        """Return the URL of an item's cover."""
        with urlopen(self._origin.page_url(content_id)) as page:
            return self._origin.extract_cover(page.read())


if __name__ == "__main__":
    arguments = parse_arguments()
    serve(Covers(arguments.origin), arguments.listener)
