"""What asking costs: our transport against requests' own, the fetcher against a session, for a page of 50 kB.

Run by ``python -m benchmarks.transport``. Each line has the least processor time of many short rounds, ours and theirs
taking turns in one process, and the ratio of the two. The page comes from another process, over kept connections; each
is asked for under a URL of its own, as pages of items are.
"""

# ruff: noqa: E402 - patching comes before importing, as in the service
from gevent import monkey

monkey.patch_all()

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from app.config.rules import Regex, Rule
from app.config.source import Source
from app.config.url_templates import PageUrlTemplate
from app.fetch.connection_pool import ConnectionPool
from app.fetch.page_fetcher import PageFetcher
from app.fetch.transport import TransportAdapter
from benchmarks import page_server

_ROUNDS = 60
_CALLS = 25  # in a round: short enough that many rounds pass undisturbed on a busy machine
_MAX_PAGE = 2_097_152


def least(ours: Callable[[], bytes], theirs: Callable[[], bytes]) -> tuple[float, float]:
    """Return the least microseconds of processor time that a call takes, of ours and of theirs."""
    best = [float("inf"), float("inf")]
    for _ in range(_ROUNDS):
        for which, function in enumerate((ours, theirs)):
            began = time.process_time()
            for _ in range(_CALLS):
                if len(function()) != page_server.SIZE:
                    raise AssertionError("not the page")
            best[which] = min(best[which], (time.process_time() - began) / _CALLS * 1e6)
    return best[0], best[1]


def asking(adapter: BaseAdapter, urls: Iterator[str]) -> Callable[[], bytes]:
    """Return a function that gets a page through a transport."""
    request = requests.Request("GET", next(urls), headers={"Accept": "*/*"}).prepare()

    def ask() -> bytes:
        request.url = next(urls)
        return b"".join(adapter.send(request, stream=True).raw.stream(65_536, decode_content=True))

    return ask


def main() -> None:
    """Print the table."""
    command = [sys.executable, "-S", page_server.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - a program of ours
        try:
            port = int((process.stdout or sys.stdin).readline())
            _print_table(f"http://127.0.0.1:{port}")
        finally:
            process.kill()


def _print_table(origin: str) -> None:
    source = Source(
        page_url=PageUrlTemplate(f"{origin}/{{id}}"), extract=[Rule(regex=Regex("x"))], private_network=True
    )
    urls = (f"{origin}/{number}" for number in itertools.count())
    connections = ConnectionPool()
    fetcher = PageFetcher(user_agent="covers/1.0", wall_clock=time.time, pool=connections)
    session = requests.Session()

    def fetch() -> bytes:
        page = fetcher.fetch(source, next(urls), timeout=5)
        return b"" if page is None else page.body

    def get() -> bytes:
        return session.get(next(urls), timeout=5).content

    transport = TransportAdapter(pool=connections, max_bytes=_MAX_PAGE, private_network=True)
    rows = [
        ("a transport: ours, HTTPAdapter", asking(transport, urls), asking(HTTPAdapter(), urls)),
        ("a page: Fetcher, Session.get", fetch, get),
    ]
    print(f"{'':32}{'ours, us':>12}{'theirs, us':>12}{'ratio':>8}")
    for name, ours, theirs in rows:
        mine, other = least(ours, theirs)
        print(f"{name:32}{mine:12.1f}{other:12.1f}{mine / other:8.2f}")


if __name__ == "__main__":
    main()
