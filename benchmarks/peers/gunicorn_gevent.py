"""A plain WSGI application on gunicorn's gevent worker: ``xmlrpc.client``, requests, a dict in front.

Served by ``gunicorn -k gevent 'benchmarks.peers.gunicorn_gevent:application("http://127.0.0.1:8000", 256)'``.
"""

import xmlrpc.client
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import requests
from requests.adapters import HTTPAdapter

from benchmarks.peers.shop import Shop

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Covers:
    """Knows the covers that were asked for before; asks for the page of another in the greenlet of its caller."""

    def __init__(self, shop: Shop, session: requests.Session) -> None:
        self._shop = shop
        self._session = session
        self._covers: dict[int, str] = {}

    def get_cover(self, content_id: int) -> str:
        """Return the URL of an item's cover."""
        cover = self._covers.get(content_id)
        if cover is None:
            page = self._session.get(self._shop.page_url(content_id), timeout=60)
            cover = self._covers[content_id] = self._shop.cover_on(page.content)
        return cover


def application(shop: str, fetches: int) -> "WSGIApplication":
    """Return the WSGI application that asks the shop at this address over so many kept connections."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=fetches))
    session.trust_env = False  # which spares it a look at proxies and ~/.netrc for each page
    methods: dict[str, Callable[..., str]] = {"get_cover": Covers(Shop(shop), session).get_cover}

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        params, method = xmlrpc.client.loads(environ["wsgi.input"].read())
        try:
            result: tuple[str] | xmlrpc.client.Fault = (methods[str(method)](*params),)
        except xmlrpc.client.Fault as fault:
            result = fault
        body = xmlrpc.client.dumps(result, methodresponse=True).encode()
        start_response("200 OK", [("Content-Type", "text/xml; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]

    return answer
