"""A WSGI application on gunicorn's gevent worker, with ``xmlrpc.client``, requests and a dict as the cache.

Run by ``gunicorn -k gevent 'benchmarks.peers.gunicorn_gevent:application("http://127.0.0.1:8000", 256)'``.
"""

import xmlrpc.client
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import requests
from requests.adapters import HTTPAdapter

from benchmarks.peers.origin import Origin

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Covers:
    """Caches covers in a dict. Other pages are fetched in the greenlet of the connection."""

    def __init__(self, origin: Origin, session: requests.Session) -> None:
        self._origin = origin
        self._session = session
        self._covers: dict[int, str] = {}

    def get_cover(self, content_id: int) -> str:
        """Return the URL of an item's cover."""
        cover = self._covers.get(content_id)
        if cover is None:
            page = self._session.get(self._origin.page_url(content_id), timeout=60)
            cover = self._covers[content_id] = self._origin.extract_cover(page.content)
        return cover


def application(origin: str, max_fetches: int) -> "WSGIApplication":
    """Return the WSGI application. ``origin`` is a URL; ``max_fetches`` is the size of the connection pool."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=max_fetches))
    session.trust_env = False  # without this, requests looks up proxies and ~/.netrc for each page
    methods: dict[str, Callable[..., str]] = {"get_cover": Covers(Origin(origin), session).get_cover}

    def handle(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        params, method = xmlrpc.client.loads(environ["wsgi.input"].read())
        try:
            result: tuple[str] | xmlrpc.client.Fault = (methods[str(method)](*params),)
        except xmlrpc.client.Fault as fault:
            result = fault
        body = xmlrpc.client.dumps(result, methodresponse=True).encode()
        start_response("200 OK", [("Content-Type", "text/xml; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]

    return handle
