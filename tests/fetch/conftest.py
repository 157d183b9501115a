"""A certificate authority of the tests' own, and a scripted origin over plain HTTP and over TLS."""

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
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """The context of a client that trusts the authority, as well as those that all trust."""
    context = new_context({})
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="session")
def identified(authority: trustme.CA) -> ssl.SSLContext:
    """The context of a server that is 127.0.0.1, and localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def connections(trusting: ssl.SSLContext) -> Iterator[ConnectionPool]:
    made = ConnectionPool(context=trusting)
    yield made
    made.close()


@pytest.fixture
def fetcher(connections: ConnectionPool) -> PageFetcher:
    return PageFetcher(user_agent="covers/1.0", wall_clock=time.time, pool=connections)


@pytest.fixture(scope="module", params=["http", "https"])
def served(request: pytest.FixtureRequest, identified: ssl.SSLContext) -> Iterator[Origin]:
    with Origin().serving(identified if request.param == "https" else None) as origin:
        yield origin


@pytest.fixture
def site(served: Origin) -> Origin:
    """A scripted origin without pages, over plain HTTP and over TLS."""
    served.clear()
    return served
