"""A request as bytes, and where they are to go.

A URL is read once, by one strict pattern: what decides whether a host may be asked and what connects to it must not
read it in two ways.
"""

import functools
import re
from types import MappingProxyType
from typing import Final, NamedTuple

_DEFAULT_PORTS: Final = MappingProxyType({"http": 80, "https": 443})

_URL = re.compile(
    r"""
    (https?) ://
    ( [A-Za-z0-9._-]+ | \[ [0-9A-Fa-f:.]+ \] ) (?: : ([0-9]{0,5}) )?
    ( /[!-"$-~]* )? ( \?[!-"$-~]* )?
    (?: \#.* )?
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)


class InvalidUrlError(ValueError):
    """This cannot be asked for."""


class Endpoint(NamedTuple):
    """What is connected to: ``http`` or ``https``, a host in lower case, a port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The host as it stands in a URL, and the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.has_default_port else f"{host}:{self.port}"

    @property
    def has_default_port(self) -> bool:
        """Whether this is the port that needs no telling."""
        return self.port == _DEFAULT_PORTS[self.scheme]

    def is_same_host(self, other: "Endpoint") -> bool:
        """Tell whether both are one host at one port, or at the default ports of http and https."""
        return self.host == other.host and (
            self.port == other.port or (self.has_default_port and other.has_default_port)
        )


@functools.lru_cache(4096)
def parse_url(url: str) -> tuple[Endpoint, str]:
    """Return the endpoint of a URL, and what is asked for there.

    Raises:
        BadUrlError: it is no http or https URL, has a user name, or is not encoded as it must be.

    """
    match = _URL.fullmatch(url)
    if match is None:
        raise InvalidUrlError("a URL that cannot be asked for")
    scheme, host, port, path, query = match.groups()
    scheme = scheme.lower()
    number = int(port) if port else _DEFAULT_PORTS[scheme]
    if not 0 < number < 65_536:  # noqa: PLR2004 - 16 bits
        raise InvalidUrlError("a URL with a port that cannot be")
    return Endpoint(scheme, host.lower().strip("[]"), number), (path or "/") + (query or "")


def authority_of(url: str) -> str:
    """Return the host that a URL leads to, with its port where that is not the scheme's own. Raises as ``read_url``."""
    return parse_url(url)[0].authority


def origin_of(url: str) -> str:
    """Return what is before the path of a URL, written in one way. Raises as ``read_url``."""
    endpoint, _ = parse_url(url)
    return f"{endpoint.scheme}://{endpoint.authority}"


def serialize_get(endpoint: Endpoint, target: str, fields: bytes) -> bytes:
    """Return a GET as bytes; Host is added to the fields, which are written already."""
    # A URL that was read has nothing in it that could be taken for the end of a line.
    return f"GET {target} HTTP/1.1\r\nHost: {endpoint.authority}\r\n".encode("latin-1") + fields
