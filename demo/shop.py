"""The sample shop: an HTTP server on loopback with deliberately slow product pages.

`python -m demo.shop` runs it. It serves:

- `/context/detail/id/ID`: a product's page, or 404 if there is no such product, after a delay;
- `/multimedia/…`: covers and thumbnails, without a delay;
- `/`: a list of all products;
- `/stats`: the numbers of requests for product pages and of pictures sent, as JSON.
"""

import argparse
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import gevent
from gevent.os import tp_read
from gevent.pywsgi import WSGIServer

from demo import pages, pictures
from demo.catalogue import Catalogue, build_catalogue

#: The default delay of a product page in seconds.
DELAY = 0.3

_PAGE = re.compile(r"/context/detail/id/([0-9]{1,19})/?")
_HTML = "text/html; charset=utf-8"


class Shop:
    """The shop as a WSGI application.

    `pages` counts the requests for product pages, including those for products that do not exist. `pictures` counts the
    pictures that were sent.
    """

    def __init__(self, catalogue: Catalogue, *, delay: float = DELAY) -> None:
        self._catalogue = catalogue
        self._delay = delay
        self._pictures = {
            path: product
            for product in catalogue.products.values()
            for path in (product.cover_path, product.thumb_path)
            if path is not None
        }
        self.pages = 0
        self.pictures = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request."""
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return [b""]
        status, content_type, text = self._respond(environ["PATH_INFO"])
        body = text.encode()
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _respond(self, path: str) -> tuple[str, str, str]:
        """Return the status, the content type and the body for a path."""
        if page := _PAGE.fullmatch(path):
            return self._page(int(page[1]), path)
        if product := self._pictures.get(path):
            self.pictures += 1
            # The path ends in .jpg as in a real shop; the Content-Type says that it is SVG.
            return "200 OK", pictures.CONTENT_TYPE, pictures.draw(product)
        if path == "/":
            return "200 OK", _HTML, pages.index_page(self._catalogue)
        if path == "/stats":
            counts = {"pages": self.pages, "pictures": self.pictures}
            return "200 OK", "application/json", json.dumps(counts)
        return "404 Not Found", _HTML, pages.missing_page(path)

    def _page(self, content_id: int, path: str) -> tuple[str, str, str]:
        self.pages += 1
        gevent.sleep(self._delay)
        product = self._catalogue.products.get(content_id)
        if product is None:
            return "404 Not Found", _HTML, pages.missing_page(path)
        return "200 OK", _HTML, pages.product_page(product, self._catalogue)


def serve(listener: socket.socket, *, delay: float) -> None:
    """Serve the shop on a listening socket until the process ends."""
    listener.setblocking(False)  # noqa: FBT003 - setblocking takes no keyword
    WSGIServer(listener, Shop(build_catalogue(), delay=delay), log=None).serve_forever()


def main() -> None:
    """Run the shop on a port that the system chooses, or on an inherited socket."""
    parser = argparse.ArgumentParser(prog="python -m demo.shop", description="Run only the sample shop.")
    parser.add_argument("--fd", type=int, help="an inherited listening socket; exit when standard input is closed")
    parser.add_argument(
        "--delay", type=float, default=DELAY, help="seconds that a product page takes (default: %(default)s)"
    )
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, sys.exit, 0)
    if options.fd is not None:
        listener = socket.socket(fileno=options.fd)
        gevent.spawn(_exit_with_parent)
    else:
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        print("http://{}:{}/".format(*listener.getsockname()), flush=True)
    serve(listener, delay=options.delay)


def _exit_with_parent() -> None:
    """Exit when the parent ends, which closes the other end of standard input even if the parent is killed.

    If the shop leads its process group, it first terminates the rest of the group: the service, which does not notice
    that the demo has ended.
    """
    while tp_read(sys.stdin.fileno(), 1):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGTERM)
    os._exit(0)


if __name__ == "__main__":
    main()
