"""URLs of requests, the endpoints that they address, and the serialisation of a GET request.

One strict pattern parses each URL. The code that checks whether a host is allowed and the code that connects to the
host therefore cannot disagree about which host a URL names.
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
    """The URL cannot be requested."""


class Endpoint(NamedTuple):
    """The target of a connection: the scheme (``http`` or ``https``), the host in lower case, and the port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The host and the port as in a URL (RFC 3986, 3.2). The port is left out if it is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.has_default_port else f"{host}:{self.port}"

    @property
    def has_default_port(self) -> bool:
        """Whether the port is the default of the scheme."""
        return self.port == _DEFAULT_PORTS[self.scheme]

    def is_same_host(self, other: "Endpoint") -> bool:
        """Return whether both have the same host and port. The default ports of http and https count as the same."""
        return self.host == other.host and (
            self.port == other.port or (self.has_default_port and other.has_default_port)
        )


@functools.lru_cache(4096)
def parse_url(url: str) -> tuple[Endpoint, str]:
    """Return the endpoint of a URL and the request target in origin-form (RFC 9112, 3.2.1): path and query.

    Raises:
        InvalidUrlError: the scheme is not http or https, the host or the port is invalid, the URL has user information,
            or it has a character that must be percent-encoded.

    """
    match = _URL.fullmatch(url)
    if match is None:
        raise InvalidUrlError("invalid URL")
    scheme, host, port, path, query = match.groups()
    scheme = scheme.lower()
    port_number = int(port) if port else _DEFAULT_PORTS[scheme]
    if not 0 < port_number < 65_536:  # noqa: PLR2004 - 16 bits
        raise InvalidUrlError("invalid port in URL")
    return Endpoint(scheme, host.lower().strip("[]"), port_number), (path or "/") + (query or "")


def authority_of(url: str) -> str:
    """Return the host of a URL, and the port unless it is the default of the scheme. Raises InvalidUrlError."""
    return parse_url(url)[0].authority


def origin_of(url: str) -> str:
    """Return the serialised origin of a URL (RFC 6454, 6.2): scheme, host and port. Raises InvalidUrlError."""
    endpoint, _ = parse_url(url)
    return f"{endpoint.scheme}://{endpoint.authority}"


def serialize_get(endpoint: Endpoint, target: str, header: bytes) -> bytes:
    """Return a GET request as bytes: the request line, a Host field, and the serialised fields in ``header``."""
    # ``parse_url`` accepts no control characters, so neither the target nor the authority can contain a line break.
    return f"GET {target} HTTP/1.1\r\nHost: {endpoint.authority}\r\n".encode("latin-1") + header
