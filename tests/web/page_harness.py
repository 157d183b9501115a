"""The harness of the page's tests: a browser, the service, two origins, and the actions of a user."""

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
covers_lookups_total{{source="ozon",outcome="found",cache="memory"}} {cached}
covers_lookups_total{{source="ozon",outcome="found",cache="fetched"}} {fetched}
# TYPE covers_fetches_total counter
covers_waiting 3
covers_circuit_open{{host="healthy.example"}} 0
covers_circuit_open{{host="failing.example"}} 1
covers_circuit_open{{host="throttled.example"}} 0
covers_host_throttled{{host="throttled.example"}} 1
"""


@dataclass(frozen=True, slots=True)
class PageHarness:
    """The browser, the service, and the origins of its two sources."""

    browser: Browser
    server: Service
    origin: Origin
    second_origin: Origin

    @contextmanager
    def open_page(
        self, fragment: str = "", *, intercept: Interception | None = None, **settings: Any
    ) -> Iterator[Page]:
        """Open the page and wait until it has loaded the sources.

        /metrics is faked unless ``intercept`` handles it. ``settings`` are those of ``Browser.page``.
        """
        fake_metrics = serve_metrics()

        def respond(url: str, body: str) -> tuple[int, str, str] | None:
            return (None if intercept is None else intercept(url, body)) or fake_metrics(url, body)

        with self.browser.page(intercept=respond, **settings) as page:
            page.open(f"http://127.0.0.1:{self.server.port}/{fragment}")
            page.wait_for("document.querySelector('#source-hint').innerText")
            yield page

    def is_expected_url(self, url: str) -> bool:
        """Return whether a URL belongs to the service or to one of the origins."""
        return url.startswith((f"http://127.0.0.1:{self.server.port}/", self.origin.url, self.second_origin.url))


def serve_metrics(template: str = METRICS) -> Interception:
    """Return an interception that serves /metrics. Each scrape has ten lookups more, one of which was a fetch."""
    scrapes = 0

    def respond(url: str, _body: str) -> tuple[int, str, str] | None:
        nonlocal scrapes
        if not url.endswith("/metrics"):
            return None
        scrapes += 1
        return 200, "text/plain; version=0.0.4", template.format(cached=9 * scrapes, fetched=scrapes)

    return respond


def look_up(page: Page, text: str) -> None:
    """Replace the entered ids, start the lookup, and wait until it has finished."""
    page.evaluate("document.querySelector('#ids').select()")
    page.type(text)
    page.press("Enter")
    wait_until_finished(page)


def wait_until_finished(page: Page) -> None:
    page.wait_for("!document.querySelector('#clear').hidden")


def card_states(page: Page) -> list[str]:
    return list(page.evaluate("Array.from(document.querySelectorAll('#results > li'), (card) => card.dataset.state)"))
