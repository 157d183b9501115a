"""A hostile server that floods its clients: it sends a block of data again and again, as fast as it can.

The client's socket therefore always has data to read. The server is a process of its own, run by ``python flooder.py
CERTIFICATE`` with only the standard library. It prints its ports for HTTP and for HTTPS. The path of a request is the
name of a flood in ``FLOODS``.
"""

import contextlib
import gzip
import socket
import ssl
import sys
import threading
import zlib


def _zeros() -> bytes:
    """Return data that decompresses to a million zeros at any position of a deflate stream."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(bytes(1_000_000)) + deflate.flush(zlib.Z_FULL_FLUSH)


_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_LENGTH = b"Content-Length: 1000000000000\r\n\r\n"

#: The data that is sent first, and the block that is sent repeatedly after it.
FLOODS: dict[str, tuple[bytes, bytes]] = {
    "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "blank lines": (b"", b"\r\n"),
    "head": (_OK, b"X: 1\r\n"),
    "one long field": (_OK + b"X: ", b"x"),
    "body": (_OK + _LENGTH, b"x"),
    "chunks": (_CHUNKED, b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
    "tiny chunks": (_CHUNKED, b"1\r\nx\r\n"),
    "chunk extension": (_CHUNKED + b"1;", b"x"),
    "trailers": (_CHUNKED + b"0\r\n", b"X: 1\r\n"),
    "one long trailer": (_CHUNKED + b"0\r\nX: ", b"x"),
    "bomb": (_OK + b"Content-Encoding: gzip\r\n" + _LENGTH + gzip.compress(b"")[:10], _zeros()),
    "empty members": (_OK + b"Content-Encoding: gzip\r\n" + _LENGTH, gzip.compress(b"")),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: /there\r\n" + _LENGTH, b"x"),
    "missing": (b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "tiny sends": (_OK + _LENGTH, b"x"),
    "there": (_OK + b"Content-Length: 5\r\n\r\nthere", b""),
}


def _serve(connection: socket.socket, context: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError):
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65_536)
        flood = request.split(b" ")[1][1:].decode().replace("%20", " ")
        start, block = FLOODS[flood]
        connection.sendall(start)
        blocks = block if flood == "tiny sends" else block * (262_144 // max(len(block), 1))
        while blocks:
            connection.sendall(blocks)
        connection.recv(1)
    connection.close()


def _listen(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection, context), daemon=True).start()


def main() -> None:
    """Serve until the process is killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    plaintext, tls = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_listen, args=(plaintext, None), daemon=True).start()
    sys.stdout.write(f"{plaintext.getsockname()[1]} {tls.getsockname()[1]}\n")
    sys.stdout.flush()
    _listen(tls, context)


if __name__ == "__main__":
    main()
