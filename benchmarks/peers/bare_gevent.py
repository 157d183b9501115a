"""The upper bound: a gevent server that sends the same response to every request.

It parses nothing and looks up nothing, so no Python server on gevent sockets can be faster.
"""

from gevent.server import StreamServer
from gevent.socket import socket

from benchmarks.ids import FIRST_CACHED
from benchmarks.peers.arguments import parse_arguments

_BODY = """<?xml version='1.0'?>
<methodResponse>
<params>
<param>
<value><string>{origin}/multimedia/audio_cd_covers/{cover}.jpg</string></value>
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
    """Serve until the process is terminated."""
    arguments = parse_arguments()
    body = _BODY.format(origin=arguments.origin.address, cover=FIRST_CACHED)
    response = (_HEAD.format(length=len(body)) + body).encode()

    def serve(connection: socket, _peer: object) -> None:
        request = b""
        while received := connection.recv(8192):
            request += received
            if request.endswith(_END):
                request = b""
                connection.sendall(response)

    StreamServer(socket(fileno=arguments.listener.detach()), serve).serve_forever()


if __name__ == "__main__":
    main()
