"""A server that sends without end: each flood ends at a limit, and other greenlets run meanwhile."""

import gc
import time
from collections.abc import Iterator
from typing import Self

import gevent
import pytest
import trustme

from app.domain.errors import NoSuchItem, OriginFailed, TooSlow
from app.fetch.page_fetcher import PageFetcher
from app.fetch.request_timer import RequestTimer
from tests.fetch.flooding import LIMIT_ERRORS, flooding
from tests.fetch.sources import source_at

#: The processor time, in seconds, that a fetch may take in one go: ten times what it takes. Time of the clock would
#: include that of other processes.
MAX_CPU_SECONDS = 0.05
MAX_PAGE = 30_000_000


@pytest.fixture(scope="module")
def ports(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    with flooding(tmp_path_factory.mktemp("flooder"), authority) as running:
        yield running


@pytest.fixture(params=["http", "https"])
def url(request: pytest.FixtureRequest, ports: list[int]) -> str:
    return f"{request.param}://127.0.0.1:{ports[request.param == 'https']}"


class PauseRecorder:
    """Records the most processor time, in seconds, that was used while no other greenlet ran."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.turns = 0
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        before = time.thread_time()
        while True:
            gevent.sleep(0.001)
            now = time.thread_time()
            self.longest = max(self.longest, now - before)
            self.turns += 1
            before = now

    def __enter__(self) -> Self:
        gc.disable()  # a collection takes as long as it likes, and is not part of the fetch
        gevent.sleep(0.002)
        return self

    def __exit__(self, *_: object) -> None:
        gevent.sleep(0.002)
        self._greenlet.kill()
        gc.enable()


@pytest.mark.parametrize("flood", LIMIT_ERRORS)
def test_a_flood_ends_at_a_limit_and_blocks_no_other_greenlet(fetcher: PageFetcher, url: str, flood: str) -> None:
    """Fails if a part of the response is not limited, or takes more and more time the longer it is."""
    source, text = source_at(url, max_page=MAX_PAGE), LIMIT_ERRORS[flood].format(max_page=MAX_PAGE)
    with PauseRecorder() as pauses, pytest.raises(OriginFailed, match=text) as caught:
        fetcher.fetch(source, f"{url}/{flood.replace(' ', '%20')}", timer=RequestTimer(60))
    assert type(caught.value) is OriginFailed
    assert str(caught.value).startswith("127.0.0.1:")
    assert caught.value.status in {0, 200}
    assert pauses.turns > 0
    assert pauses.longest < MAX_CPU_SECONDS


def test_the_body_of_a_redirect_is_not_read(fetcher: PageFetcher, url: str) -> None:
    page = fetcher.fetch(source_at(url), f"{url}/redirect", timer=RequestTimer(5))
    assert page is not None
    assert page.body == b"there"


def test_the_body_of_an_error_is_not_read(fetcher: PageFetcher, url: str) -> None:
    with pytest.raises(NoSuchItem):
        fetcher.fetch(source_at(url), f"{url}/missing", timer=RequestTimer(5))


def test_tls_records_with_almost_no_content_end_at_a_limit(fetcher: PageFetcher, ports: list[int]) -> None:
    """The layers above TLS do not see how many bytes each byte of content takes."""
    url = f"https://127.0.0.1:{ports[1]}"
    with pytest.raises(OriginFailed, match="the server sent more bytes than the size limit allows"):
        fetcher.fetch(source_at(url, max_page=500_000), f"{url}/tiny%20sends", timer=RequestTimer(20))


@pytest.mark.parametrize("flood", ["body", "chunks"])
def test_the_prefix_of_an_endless_body_is_read(fetcher: PageFetcher, url: str, flood: str) -> None:
    page = fetcher.fetch_prefix(source_at(url), f"{url}/{flood}", timer=RequestTimer(5), size=1000)
    assert page.body == b"x" * 1000


@pytest.mark.parametrize("flood", ["body", "chunks", "bomb"])
def test_a_timeout_ends_a_flood(fetcher: PageFetcher, url: str, flood: str) -> None:
    """Of those that no other limit ends within a moment. Fails if anything else ends it, or nothing does."""
    source = source_at(url, max_page=10**12)
    with pytest.raises(TooSlow, match=r"^127\.0\.0\.1:\d+ took longer than 0\.02 seconds$"):
        fetcher.fetch(source, f"{url}/{flood.replace(' ', '%20')}", timer=RequestTimer(0.02))
