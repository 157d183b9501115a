"""PROXY protocol headers without addresses, which load balancers send for their health checks.

The specification is https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt.
"""

from typing import Any

from gunicorn.http.errors import InvalidProxyHeader, InvalidProxyLine
from gunicorn.http.message import PPCommand, PPFamily
from gunicorn.http.message import Request as GunicornRequest

#: The maximum length of a header of version 1, a line, including CRLF (2.1).
_MAX_LINE_BYTES = 107

#: A header of version 2 begins with the signature, a byte for version and command, a byte for address family and
#: transport protocol, and the length of the rest (2.2).
_FIXED_BYTES = 16
_COMMAND, _FAMILY = 12, 13


class ProxyProtocolRequest(GunicornRequest):
    """gunicorn's request, which also accepts headers without addresses. The connection's own addresses are then used.

    gunicorn rejects UNKNOWN (version 1) and PROXY with an unspecified address family (version 2). For LOCAL (version 2)
    it sets REMOTE_ADDR to None. For an invalid header of version 2, it responds with 500 instead of 400.
    """

    #: The addresses in the header, or None without a header or without addresses.
    proxy_protocol_info: dict[str, Any] | None

    def _parse_proxy_protocol_v1(self, unreader: Any, buf: bytearray) -> bytearray:
        """Return the bytes after the line. Its length is limited, unlike in gunicorn's method."""
        while (end := buf.find(b"\r\n", 0, _MAX_LINE_BYTES)) < 0:
            if len(buf) >= _MAX_LINE_BYTES:
                raise InvalidProxyLine(f"more than {_MAX_LINE_BYTES} bytes")
            self.read_into(unreader, buf)
        if (buf[:end] + b" ").startswith(b"PROXY UNKNOWN "):
            return buf[end + 2 :]
        rest: bytearray = super()._parse_proxy_protocol_v1(unreader, buf)
        return rest

    def _parse_proxy_protocol_v2(self, unreader: Any, buf: bytearray) -> bytearray:
        """Return the bytes after the header."""
        while len(buf) < _FIXED_BYTES:
            self.read_into(unreader, buf)
        if buf[_COMMAND] & 0x0F == PPCommand.PROXY and buf[_FAMILY] >> 4 == PPFamily.UNSPEC:
            buf[_COMMAND] = buf[_COMMAND] & 0xF0 | PPCommand.LOCAL
        try:
            rest: bytearray = super()._parse_proxy_protocol_v2(unreader, buf)
        except InvalidProxyHeader as error:
            raise InvalidProxyLine(error.msg) from error
        if self.proxy_protocol_info is not None and self.proxy_protocol_info["client_addr"] is None:
            self.proxy_protocol_info = None
        return rest
