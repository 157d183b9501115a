"""What a peer is given on its command line: a listening socket, the shop, and how many pages it may fetch at once."""

import socket
import sys
from dataclasses import dataclass

from benchmarks.peers.shop import Shop


@dataclass(frozen=True, slots=True)
class Given:
    """What a peer works with; ``fetches`` is the size of its thread or connection pool."""

    listener: socket.socket
    shop: Shop
    fetches: int


def given() -> Given:
    """Return what stands on the command line: descriptor of the socket, address of the shop, fetches."""
    descriptor, address, fetches = sys.argv[1:]
    return Given(socket.socket(fileno=int(descriptor)), Shop(address), int(fetches))
