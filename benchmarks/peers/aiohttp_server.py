"""aiohttp-xmlrpc on aiohttp's server and uvloop, with aiohttp's client and a dict as the cache."""

from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, TCPConnector, web
from aiohttp_xmlrpc.handler import XMLRPCView

from benchmarks.peers.arguments import parse_arguments
from benchmarks.peers.origin import Origin


class Covers:
    """Caches covers in a dict. Other pages are fetched without blocking."""

    def __init__(self, origin: Origin, session: ClientSession) -> None:
        self._origin = origin
        self._session = session
        self._covers: dict[int, str] = {}

    async def find(self, content_id: int) -> str:
        """Return the URL of an item's cover."""
        cover = self._covers.get(content_id)
        if cover is None:
            async with self._session.get(self._origin.page_url(content_id)) as page:
                cover = self._covers[content_id] = self._origin.extract_cover(await page.read())
        return cover


COVERS: web.AppKey[Covers] = web.AppKey("covers", Covers)


class Calls(XMLRPCView):
    """The published methods."""

    async def rpc_get_cover(self, content_id: int) -> str:
        """Return the URL of an item's cover."""
        cover: str = await self.request.app[COVERS].find(content_id)
        return cover


def application(origin: Origin, max_fetches: int) -> web.Application:
    """Return the application, which owns one HTTP client."""

    async def client(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(connector=TCPConnector(limit=max_fetches)) as session:
            app[COVERS] = Covers(origin, session)
            yield

    app = web.Application()
    app.cleanup_ctx.append(client)
    app.router.add_view("/RPC2", Calls)
    return app


if __name__ == "__main__":
    arguments = parse_arguments()
    app = application(arguments.origin, arguments.max_fetches)
    web.run_app(app, sock=arguments.listener, backlog=2048, access_log=None, print=None, loop=uvloop.new_event_loop())
