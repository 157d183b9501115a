"""A request as bytes, and where they are to go.

A URL is read once, by one strict pattern: what decides whether a host may be asked and what connects to it must not
read it in two ways.
"""

import functools
import re
from collections.abc import Iterable
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
# RFC 9110, 5.5 and 5.6.2; one pass over all fields costs less than one for each
_FIELDS = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)*")


class BadUrlError(ValueError):
    """This cannot be asked for."""


class BadFieldError(ValueError):
    """This cannot be a header field."""


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

    def has_host_of(self, other: "Endpoint") -> bool:
        """Tell whether both are one host at one port, or at the default ports of http and https."""
        return self.host == other.host and (
            self.port == other.port or (self.has_default_port and other.has_default_port)
        )


@functools.lru_cache(4096)
def read_url(url: str) -> tuple[Endpoint, str]:
    """Return the endpoint of a URL, and what is asked for there.

    Raises:
        BadUrlError: it is no http or https URL, has a user name, or is not encoded as it must be.

    """
    match = _URL.fullmatch(url)
    if match is None:
        raise BadUrlError("a URL that cannot be asked for")
    scheme, host, port, path, query = match.groups()
    scheme = scheme.lower()
    number = int(port) if port else _DEFAULT_PORTS[scheme]
    if not 0 < number < 65_536:  # noqa: PLR2004 - 16 bits
        raise BadUrlError("a URL with a port that cannot be")
    return Endpoint(scheme, host.lower().strip("[]"), number), (path or "/") + (query or "")


def host_of(url: str) -> str:
    """Return the host that a URL leads to, with its port where that is not the scheme's own. Raises as ``read_url``."""
    return read_url(url)[0].authority


def site_of(url: str) -> str:
    """Return what is before the path of a URL, written in one way. Raises as ``read_url``."""
    endpoint, _ = read_url(url)
    return f"{endpoint.scheme}://{endpoint.authority}"


def write_get(endpoint: Endpoint, target: str, fields: Iterable[tuple[str, str | bytes]]) -> bytes:
    """Return a GET as bytes; Host is added to the fields.

    Raises:
        BadFieldError: a field that would not arrive as the one that it is.

    """
    # A URL that was read has nothing in it that could be taken for the end of a line.
    head = f"GET {target} HTTP/1.1\r\nHost: {endpoint.authority}\r\n"
    return head.encode("latin-1") + _written(tuple(fields))


@functools.lru_cache(256)
def _written(fields: tuple[tuple[str, str | bytes], ...]) -> bytes:
    """Return fields and the blank line behind them; most requests of a source have the same."""
    lines = [f"{name}: {_text(value)}\r\n" for name, value in fields]
    head = "".join(lines)
    # The count shows that no field was two.
    if not _FIELDS.fullmatch(head) or head.count("\n") != len(lines):
        raise BadFieldError("a header field that cannot be sent")
    return f"{head}\r\n".encode("latin-1")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
