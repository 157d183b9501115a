"""How the Twisted peers listen: a resource on the given socket, without an access log."""

import socket

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site


class _QuietSite(Site):
    """A site that logs no requests."""

    def log(self, request: object) -> None:
        """Write nothing."""


def serve(resource: Resource, listener: socket.socket) -> None:
    """Serve until told to end."""
    listener.setblocking(False)  # noqa: FBT003 - which takes no name
    reactor.adoptStreamPort(listener.fileno(), socket.AF_INET, _QuietSite(resource))
    reactor.run()
