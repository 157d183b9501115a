"""The server of the Twisted peers: serves a resource on an inherited socket, without an access log."""

import socket

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site


class _QuietSite(Site):
    """A site without an access log."""

    def log(self, request: object) -> None:
        """Log nothing."""


def serve(resource: Resource, listener: socket.socket) -> None:
    """Serve until the process is terminated."""
    listener.setblocking(False)  # noqa: FBT003 - the parameter is positional-only
    reactor.adoptStreamPort(listener.fileno(), socket.AF_INET, _QuietSite(resource))
    reactor.run()
