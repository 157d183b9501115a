"""TLS without a socket: a session that turns sealed bytes into plain ones and back.

An SSLSocket reads from its peer for as long as that sends what carries no data, session tickets for example, all inside
one call that no other greenlet gets into. Here the socket is read elsewhere, a bounded piece at a time.
"""

import functools
import os
import ssl
from collections.abc import Mapping

import certifi

from app.domain.errors import SettingsError

_RECORD = 16_384  # the most plain bytes in one record (RFC 8446, 5.1)


@functools.cache
def default_context() -> ssl.SSLContext:
    """Return the context of this process: reading a trust store takes 20 ms and a megabyte."""
    return new_context(os.environ)


def new_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that checks certificates and host names.

    Trusted is what REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names, as with requests; else what OpenSSL's SSL_CERT_FILE and
    SSL_CERT_DIR name; else the system's store together with certifi's.

    Raises:
        SettingsError: the store that a variable names cannot be read.

    """
    variable = next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environ.get(name)), None)
    if variable is not None:
        bundle = environ[variable]
        try:
            if os.path.isdir(bundle):  # noqa: PTH112 - a path as the variable has it
                context = ssl.create_default_context(capath=bundle)
            else:
                context = ssl.create_default_context(cafile=bundle)
        except OSError as error:  # an SSLError is one as well
            raise SettingsError(f"{variable}: expected certificates at {bundle}: {error.strerror}") from error
    else:
        context = ssl.create_default_context()
        if not environ.get("SSL_CERT_FILE") and not environ.get("SSL_CERT_DIR"):
            context.load_verify_locations(cafile=certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION  # each would cost us as much as a handshake, as often as the peer likes
    return context


class TlsSession:
    """The client's side of one TLS connection. What it does raises ssl.SSLError where the peer breaks the protocol."""

    __slots__ = ("_incoming", "_outgoing", "_tls")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def do_handshake(self) -> bool:
        """Go on with the handshake; return whether it is done, or else wants more of what the peer says."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def take_pending_output(self) -> bytes:
        """Return the sealed bytes that are to be sent now, if any."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def feed_encrypted(self, sealed: bytes) -> None:
        """Take what was received."""
        self._incoming.write(sealed)

    def encrypt(self, plain: bytes) -> bytes:
        """Return these bytes as they are to be sent."""
        self._tls.write(plain)
        return self._outgoing.read()

    def read_decrypted(self) -> bytes | None:
        """Return all plain bytes that there are so far; None when there are none, empty when the peer has ended it."""
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(_RECORD):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            if not pieces:
                return None
        return b"".join(pieces)
