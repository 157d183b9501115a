"""The command-line arguments of a peer: a listening socket, the origin, and how many pages it may fetch at once."""

import socket
import sys
from dataclasses import dataclass

from benchmarks.peers.origin import Origin


@dataclass(frozen=True, slots=True)
class PeerArguments:
    """The arguments of a peer. ``max_fetches`` is the size of its thread or connection pool."""

    listener: socket.socket
    origin: Origin
    max_fetches: int


def parse_arguments() -> PeerArguments:
    """Parse the command line: the descriptor of the socket, the URL of the origin, and the number of fetches."""
    descriptor, address, max_fetches = sys.argv[1:]
    return PeerArguments(socket.socket(fileno=int(descriptor)), Origin(address), int(max_fetches))
