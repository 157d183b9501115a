"""The sample shop: an HTTP server on loopback whose product pages are slow on purpose.

`python -m demo.shop` runs it. It serves

- `/context/detail/id/ID`: a product's page, or 404 where there is no such product, after a delay;
- `/multimedia/…`: covers and small pictures, at once;
- `/`: all products;
- `/stats`: as JSON, how many product pages and pictures were asked for so far.
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
from demo.catalogue import Catalogue, draw_up

#: Seconds that a product page takes: the shop of 2010 looked into its database.
DELAY = 0.3

_PAGE = re.compile(r"/context/detail/id/([0-9]{1,19})/?")
_HTML = "text/html; charset=utf-8"


class Shop:
    """The shop as a WSGI application.

    `pages` counts the requests for product pages, those for products that do not exist included; `pictures` counts the
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
        """Answer one request."""
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return [b""]
        status, content_type, text = self._answer(environ["PATH_INFO"])
        body = text.encode()
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _answer(self, path: str) -> tuple[str, str, str]:
        """Status, content type and text for a path."""
        if page := _PAGE.fullmatch(path):
            return self._page(int(page[1]), path)
        if product := self._pictures.get(path):
            self.pictures += 1
            # The path ends in .jpg as it always did; what it is, the type says.
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
    """Serve the shop at a listening socket until the process ends."""
    listener.setblocking(False)  # noqa: FBT003 - the name of the method says what is off
    WSGIServer(listener, Shop(draw_up(), delay=delay), log=None).serve_forever()


def main() -> None:
    """Run the shop: by hand at an address of its own, or for the demo at a socket that was handed over."""
    options = argparse.ArgumentParser(prog="python -m demo.shop", description="Run the sample shop alone.")
    options.add_argument("--fd", type=int, help="a listening socket that was inherited; end when standard input ends")
    options.add_argument("--delay", type=float, default=DELAY, help="seconds that a product page takes")
    chosen = options.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, sys.exit, 0)
    if chosen.fd is not None:
        listener = socket.socket(fileno=chosen.fd)
        gevent.spawn(_end_with_the_parent)
    else:
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        print("http://{}:{}/".format(*listener.getsockname()), flush=True)
    serve(listener, delay=chosen.delay)


def _end_with_the_parent() -> None:
    """Wait until the other end of standard input is closed, which happens however the parent ends; then end as well.

    Where the shop leads its process group, the rest of the group ends too: that is the service, which cannot know that
    whoever started it was killed.
    """
    while tp_read(sys.stdin.fileno(), 1):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGTERM)
    os._exit(0)


if __name__ == "__main__":
    main()
