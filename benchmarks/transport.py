"""The cost of fetching a page of 50 kB: app.fetch against requests, over persistent connections.

Run by ``python -m benchmarks.transport``. Each row has the least processor time of many rounds, which alternate between
the two in one process, and the ratio of the two. The origin is another process. Every request has a new URL, as item
pages have.
"""

# ruff: noqa: E402 - monkey-patching comes before the imports, as in the service
from gevent import monkey

monkey.patch_all()

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from app.config.rules import Regex, Rule
from app.config.source import Source
from app.config.url_templates import PageUrlTemplate
from app.fetch.connection_pool import ConnectionPool
from app.fetch.page_fetcher import PageFetcher
from app.fetch.request_timer import RequestTimer
from app.fetch.transport import TransportAdapter
from benchmarks.ids import FIRST_NEW
from benchmarks.origin import PAGE_SIZE
from benchmarks.processes import running

_ROUNDS = 60
_CALLS = 25  # per round: short enough for many rounds without interruption on a busy machine
_MAX_PAGE = 2_097_152


def min_cpu_times(ours: Callable[[], bytes], theirs: Callable[[], bytes]) -> tuple[float, float]:
    """Return the least processor time of a call of each function over all rounds, in microseconds."""
    best = [float("inf"), float("inf")]
    for _ in range(_ROUNDS):
        for index, function in enumerate((ours, theirs)):
            started_at = time.process_time()
            for _ in range(_CALLS):
                if len(function()) != PAGE_SIZE:
                    raise AssertionError("not the page")
            best[index] = min(best[index], (time.process_time() - started_at) / _CALLS * 1e6)
    return best[0], best[1]


def fetch_with(adapter: BaseAdapter, urls: Iterator[str]) -> Callable[[], bytes]:
    """Return a function that fetches the next page through a transport adapter of requests."""
    request = requests.Request("GET", next(urls), headers={"Accept": "*/*"}).prepare()

    def fetch() -> bytes:
        request.url = next(urls)
        return b"".join(adapter.send(request, stream=True).raw.stream(65_536, decode_content=True))

    return fetch


def main() -> None:
    """Print the table."""

    def command(descriptor: int) -> Sequence[str]:
        return [sys.executable, "-m", "benchmarks.origin", str(descriptor), "0"]

    with (
        TemporaryDirectory(prefix="covers-bench-") as folder,
        running(command, cores=os.sched_getaffinity(0), folder=Path(folder)) as origin,
    ):
        _print_table(origin.address)


def _print_table(origin: str) -> None:
    source = Source(
        page_url=PageUrlTemplate(f"{origin}/{{id}}"), extract=[Rule(regex=Regex("x"))], private_network=True
    )
    urls = (f"{origin}/{content_id}" for content_id in itertools.count(FIRST_NEW["origin"]))
    pool = ConnectionPool()
    fetcher = PageFetcher(user_agent="covers/1.0", wall_clock=time.time, pool=pool)
    session = requests.Session()

    def fetch() -> bytes:
        page = fetcher.fetch(source, next(urls), timer=RequestTimer(5))
        return b"" if page is None else page.body

    def get() -> bytes:
        return session.get(next(urls), timeout=5).content

    adapter = TransportAdapter(pool=pool, max_bytes=_MAX_PAGE, private_network=True)
    rows = [
        ("TransportAdapter, HTTPAdapter", fetch_with(adapter, urls), fetch_with(HTTPAdapter(), urls)),
        ("PageFetcher.fetch, Session.get", fetch, get),
    ]
    print(f"{'':32}{'covers us':>12}{'requests us':>12}{'ratio':>8}")
    for name, ours, theirs in rows:
        our_time, their_time = min_cpu_times(ours, theirs)
        print(f"{name:32}{our_time:12.1f}{their_time:12.1f}{our_time / their_time:8.2f}")


if __name__ == "__main__":
    main()
