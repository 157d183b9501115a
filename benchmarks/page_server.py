"""An origin in a process of its own, with the standard library alone: one page of 50 kB, over kept connections.

Run by ``python page_server.py``; prints its port.
"""

import contextlib
import socket
import sys
import threading

SIZE = 50_000

_ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
    b'Content-Type: text/html; charset=utf-8\r\nETag: "4f1d"\r\nCache-Control: max-age=60\r\n'
    b"Content-Length: %d\r\n\r\n" % SIZE
) + b"x" * SIZE


def _serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, contextlib.suppress(OSError):
        request = b""
        while received := connection.recv(65_536):
            request += received
            if request.endswith(b"\r\n\r\n"):
                request = b""
                connection.sendall(_ANSWER)


def main() -> None:
    """Serve until killed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
