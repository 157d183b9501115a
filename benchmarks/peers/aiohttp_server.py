"""asyncio: aiohttp-xmlrpc on aiohttp's server and uvloop, aiohttp's client, a dict in front."""

from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, TCPConnector, web
from aiohttp_xmlrpc.handler import XMLRPCView

from benchmarks.peers.given import given
from benchmarks.peers.shop import Shop


class Covers:
    """Knows the covers that were asked for before; asks for the page of another without blocking."""

    def __init__(self, shop: Shop, session: ClientSession) -> None:
        self._shop = shop
        self._session = session
        self._covers: dict[int, str] = {}

    async def find(self, content_id: int) -> str:
        """Return the URL of an item's cover."""
        cover = self._covers.get(content_id)
        if cover is None:
            async with self._session.get(self._shop.page_url(content_id)) as page:
                cover = self._covers[content_id] = self._shop.cover_on(await page.read())
        return cover


COVERS: web.AppKey[Covers] = web.AppKey("covers", Covers)


class Calls(XMLRPCView):
    """The published methods."""

    async def rpc_get_cover(self, content_id: int) -> str:
        """Return the URL of an item's cover."""
        cover: str = await self.request.app[COVERS].find(content_id)
        return cover


def application(shop: Shop, fetches: int) -> web.Application:
    """Return the application; its client lives as long as it does."""

    async def client(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(connector=TCPConnector(limit=fetches)) as session:
            app[COVERS] = Covers(shop, session)
            yield

    app = web.Application()
    app.cleanup_ctx.append(client)
    app.router.add_view("/RPC2", Calls)
    return app


if __name__ == "__main__":
    here = given()
    app = application(here.shop, here.fetches)
    web.run_app(app, sock=here.listener, backlog=2048, access_log=None, print=None, loop=uvloop.new_event_loop())
