"""Fixtures: a certificate authority, the TLS contexts of both sides, and a scripted origin over HTTP and HTTPS."""

import ssl
import time
from collections.abc import Iterator

import pytest
import trustme

from app.fetch.connection_pool import ConnectionPool
from app.fetch.page_fetcher import PageFetcher
from app.fetch.tls import new_context
from tests.support.scripted_origin import Origin


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    """A client context that trusts the certificate authority, besides the default ones."""
    context = new_context({})
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="session")
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """A server context with a certificate for 127.0.0.1 and localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def pool(client_context: ssl.SSLContext) -> Iterator[ConnectionPool]:
    new_pool = ConnectionPool(context=client_context)
    yield new_pool
    new_pool.close()


@pytest.fixture
def fetcher(pool: ConnectionPool) -> PageFetcher:
    return PageFetcher(user_agent="covers/1.0", wall_clock=time.time, pool=pool)


@pytest.fixture(scope="module", params=["http", "https"])
def served(request: pytest.FixtureRequest, server_context: ssl.SSLContext) -> Iterator[Origin]:
    with Origin().serving(server_context if request.param == "https" else None) as origin:
        yield origin


@pytest.fixture
def site(served: Origin) -> Origin:
    """A scripted origin without pages, once over HTTP and once over HTTPS."""
    served.clear()
    return served
