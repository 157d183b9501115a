"""What tests of the page play on: a browser, the service, two origins, and what a reader does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.browser import Browser, Interception, Page
from tests.support.scripted_origin import Origin
from tests.support.service import Service

METRICS = """\
# HELP covers_lookups_total Lookups.
# TYPE covers_lookups_total counter
covers_lookups_total{{source="ozon",outcome="found",cache="memory"}} {known}
covers_lookups_total{{source="ozon",outcome="found",cache="fetched"}} {fetched}
# TYPE covers_fetches_total counter
covers_waiting 3
covers_circuit_open{{host="well.example"}} 0
covers_circuit_open{{host="sad.example"}} 1
covers_circuit_open{{host="tired.example"}} 0
covers_host_throttled{{host="tired.example"}} 1
"""


@dataclass(frozen=True, slots=True)
class PageHarness:
    """All that a test needs: the browser, the service, its two origins."""

    browser: Browser
    server: Service
    origin: Origin
    sad: Origin

    @contextmanager
    def visit(self, link: str = "", *, intercept: Interception | None = None, **reader: Any) -> Iterator[Page]:
        """Open the page, with what /metrics says made up unless it is intercepted; nothing may go wrong in it."""
        told = metrics()

        def answer(url: str, body: str) -> tuple[int, str, str] | None:
            return (None if intercept is None else intercept(url, body)) or told(url, body)

        with self.browser.page(intercept=answer, **reader) as visited:
            visited.open(f"http://127.0.0.1:{self.server.port}/{link}")
            visited.until("document.querySelector('#source-hint').innerText")
            yield visited

    def own(self, url: str) -> bool:
        """Tell whether an address is one of ours, or a picture of the origins."""
        return url.startswith((f"http://127.0.0.1:{self.server.port}/", self.origin.url, self.sad.url))


def metrics(text: str = METRICS) -> Interception:
    """Make up what /metrics says: ten lookups more each time, one of them fetched."""
    asked = 0

    def answer(url: str, _body: str) -> tuple[int, str, str] | None:
        nonlocal asked
        if not url.endswith("/metrics"):
            return None
        asked += 1
        return 200, "text/plain; version=0.0.4", text.format(known=9 * asked, fetched=asked)

    return answer


def look_up(visited: Page, text: str) -> None:
    """Type ids and wait until the round is over."""
    visited.value("document.querySelector('#ids').select()")
    visited.type(text)
    visited.press("Enter")
    wait_for_end(visited)


def wait_for_end(visited: Page) -> None:
    visited.until("!document.querySelector('#clear').hidden")


def kinds(visited: Page) -> list[str]:
    """Return the kinds of the cards."""
    return list(visited.value("Array.from(document.querySelectorAll('#shelf > li'), (card) => card.dataset.kind)"))
