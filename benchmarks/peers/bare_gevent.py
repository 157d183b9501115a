"""The ceiling: a gevent loop that reads calls and sends the bytes of one hit's answer, whatever was asked.

It parses nothing and looks up nothing: no Python server over gevent sockets can be faster.
"""

from gevent.server import StreamServer
from gevent.socket import socket

from benchmarks.ids import FIRST_KNOWN
from benchmarks.peers.given import given

_BODY = """<?xml version='1.0'?>
<methodResponse>
<params>
<param>
<value><string>{shop}/multimedia/audio_cd_covers/{cover}.jpg</string></value>
</param>
</params>
</methodResponse>
"""
_HEAD = (
    "HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\nConnection: keep-alive\r\n"
    "Content-Type: text/xml; charset=utf-8\r\nContent-Length: {length}\r\n\r\n"
)
_END = b"</methodCall>\n"


def main() -> None:
    """Serve until told to end."""
    here = given()
    body = _BODY.format(shop=here.shop.address, cover=FIRST_KNOWN)
    answer = (_HEAD.format(length=len(body)) + body).encode()

    def serve(connection: socket, _peer: object) -> None:
        call = b""
        while received := connection.recv(8192):
            call += received
            if call.endswith(_END):
                call = b""
                connection.sendall(answer)

    StreamServer(socket(fileno=here.listener.detach()), serve).serve_forever()


if __name__ == "__main__":
    main()
