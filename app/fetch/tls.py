"""TLS without a socket: the context that verifies certificates, and a session that encrypts and decrypts bytes.

An ``SSLSocket`` handles records without data, such as session tickets, inside ``recv``. As long as the peer sends such
records, ``recv`` does not return and no other greenlet runs. With ``TlsSession``, the caller itself reads the socket,
in pieces of bounded size.
"""

import functools
import os
import ssl
from collections.abc import Mapping

import certifi

from app.domain.errors import SettingsError

_MAX_RECORD = 16_384  # the most plaintext bytes in one record (RFC 8446, 5.1)


@functools.cache
def default_context() -> ssl.SSLContext:
    """Return the context of this process. It is shared, because loading a trust store takes 20 ms and 1 MB."""
    return new_context(os.environ)


def new_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that verifies certificates and host names.

    REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names the trusted certificates, as in the requests library. If neither is set,
    OpenSSL's SSL_CERT_FILE and SSL_CERT_DIR name them. If none of the four is set, the certificates of the system and
    of certifi are trusted.

    Raises:
        SettingsError: the trust store that a variable names cannot be read.

    """
    variable = next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environ.get(name)), None)
    if variable is not None:
        bundle = environ[variable]
        try:
            if os.path.isdir(bundle):  # noqa: PTH112 - the path is a text from the environment
                context = ssl.create_default_context(capath=bundle)
            else:
                context = ssl.create_default_context(cafile=bundle)
        except OSError as error:  # SSLError is a subclass
            raise SettingsError(f"{variable}: expected certificates at {bundle}: {error.strerror}") from error
    else:
        context = ssl.create_default_context()
        if not environ.get("SSL_CERT_FILE") and not environ.get("SSL_CERT_DIR"):
            context.load_verify_locations(cafile=certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION  # each one costs as much as a handshake, and the peer could start many
    return context


class TlsSession:
    """The client side of one TLS connection. Its methods raise ssl.SSLError if the peer violates the protocol."""

    __slots__ = ("_incoming", "_outgoing", "_tls")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def do_handshake(self) -> bool:
        """Continue the handshake, and return whether it is complete. An incomplete one needs more data of the peer."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def take_pending_output(self) -> bytes:
        """Return the encrypted bytes to send now, if any."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def feed_encrypted(self, encrypted: bytes) -> None:
        """Add bytes that were received from the peer."""
        self._incoming.write(encrypted)

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return the encrypted form of ``plaintext``, to be sent."""
        self._tls.write(plaintext)
        return self._outgoing.read()

    def read_decrypted(self) -> bytes | None:
        """Return all available plaintext, None if there is none yet, or ``b""`` if the peer has closed the session."""
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(_MAX_RECORD):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            if not pieces:
                return None
        return b"".join(pieces)
