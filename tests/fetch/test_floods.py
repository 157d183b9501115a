"""A server that sends without end: each flood ends at a limit, and other greenlets run meanwhile."""

import time
from collections.abc import Iterator
from typing import Self

import gevent
import pytest
import trustme

from app.domain.errors import LookupFailed, NoSuchItem, OriginFailed
from app.fetch.page_fetcher import PageFetcher
from app.fetch.request_timer import RequestTimer
from tests.fetch.flooding import flooding
from tests.fetch.sources import source_at

MAX_PAUSE = 0.05
ATTEMPTS = 10
MAX_PAGE = 30_000_000


@pytest.fixture(scope="module")
def ports(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    with flooding(tmp_path_factory.mktemp("flooder"), authority) as running:
        yield running


@pytest.fixture(params=["http", "https"])
def url(request: pytest.FixtureRequest, ports: list[int]) -> str:
    return f"{request.param}://127.0.0.1:{ports[request.param == 'https']}"


class PauseRecorder:
    """Records the longest time, in seconds, in which no other greenlet ran."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        before = time.perf_counter()
        while True:
            gevent.sleep(0.001)
            now = time.perf_counter()
            self.longest = max(self.longest, now - before)
            before = now

    def __enter__(self) -> Self:
        gevent.sleep(0.002)
        return self

    def __exit__(self, *_: object) -> None:
        gevent.sleep(0.002)
        self._greenlet.kill()


@pytest.mark.parametrize(
    ("flood", "text"),
    [
        ("interim", "more than 16 interim responses"),
        ("blank lines", "header is longer than 65536 bytes"),
        ("head", "more than 100 header fields"),
        ("one long field", "header is longer than 65536 bytes"),
        ("body", "more than 30000000 bytes"),
        ("chunks", "more than 30000000 bytes"),
        ("tiny chunks", "bytes of headers and framing"),
        ("chunk extension", "bytes of headers and framing"),
        ("trailers", "more than 100 header fields"),
        ("one long trailer", "bytes of headers and framing"),
        ("bomb", "more than 30000000 bytes"),
        ("empty members", "more than 1000 gzip members"),
    ],
)
def test_a_flood_ends_at_a_limit_and_blocks_no_other_greenlet(
    fetcher: PageFetcher, url: str, flood: str, text: str
) -> None:
    """The best of several attempts counts, since other load on the machine causes pauses too."""
    longest_pauses = []
    for _ in range(ATTEMPTS):
        with PauseRecorder() as pauses, pytest.raises(OriginFailed, match=text) as caught:
            fetcher.fetch(
                source_at(url, max_page=MAX_PAGE), f"{url}/{flood.replace(' ', '%20')}", timer=RequestTimer(20)
            )
        assert str(caught.value).startswith("127.0.0.1:")
        assert caught.value.status in {0, 200}
        longest_pauses.append(pauses.longest)
        if pauses.longest < MAX_PAUSE:
            return
    pytest.fail(f"other greenlets waited for {min(longest_pauses):.3f} seconds")


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


@pytest.mark.parametrize("flood", ["bomb", "tiny chunks", "trailers"])
def test_a_timeout_ends_a_flood(fetcher: PageFetcher, url: str, flood: str) -> None:
    """At any stage of parsing."""
    with pytest.raises(LookupFailed):
        fetcher.fetch(source_at(url, max_page=10**12), f"{url}/{flood.replace(' ', '%20')}", timer=RequestTimer(0.02))
