"""The standard library's XML-RPC server with a thread for each connection, ``urlopen`` and a dict as the cache."""

from socketserver import ThreadingMixIn
from urllib.request import urlopen
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

from benchmarks.peers.arguments import PeerArguments, parse_arguments
from benchmarks.peers.origin import Origin


class Covers:
    """Caches covers in a dict. Other pages are fetched in the thread of the connection."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._covers: dict[int, str] = {}

    def get_cover(self, content_id: int) -> str:
        """Return the URL of an item's cover."""
        cover = self._covers.get(content_id)
        if cover is None:
            with urlopen(self._origin.page_url(content_id)) as page:
                cover = self._covers[content_id] = self._origin.extract_cover(page.read())
        return cover


class _Handler(SimpleXMLRPCRequestHandler):
    protocol_version = "HTTP/1.1"  # for persistent connections; the default is 1.0


class _Server(ThreadingMixIn, SimpleXMLRPCServer):
    daemon_threads = True

    def __init__(self, arguments: PeerArguments) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, logRequests=False, bind_and_activate=False)
        self.socket.close()
        self.socket = arguments.listener


if __name__ == "__main__":
    arguments = parse_arguments()
    server = _Server(arguments)
    server.register_instance(Covers(arguments.origin))
    server.serve_forever()
