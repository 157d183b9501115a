"""Fixtures for the tests of the page: all of them share one browser, one service and two origins."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.browser import Page, run_browser
from tests.support.scripted_origin import COVER_PATH, Origin, cover, page
from tests.support.service import CONFIG, run_service
from tests.web.page_harness import PageHarness

#: A second source with an origin of its own, whose circuit the tests may open without affecting the first.
SECOND_SOURCE = """
[sources.second]
page_url = "{origin}/context/detail/id/{{id}}"
id_pattern = '.+'
extract = [{{ css = 'img', attribute = 'src' }}]
private_network = true
retries = 0
"""

IMAGE = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="#0a7"/></svg>'


@pytest.fixture(scope="package")
def shared_harness(require: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageHarness]:
    """Run the browser, the service and the origins."""
    program = require("chromium")
    with Origin().serving() as origin, Origin().serving() as second_origin:
        config = CONFIG.format(origin=origin.url) + SECOND_SOURCE.format(origin=second_origin.url)
        with run_service(tmp_path_factory.mktemp("page"), config) as server, run_browser(program) as browser:
            yield PageHarness(browser, server, origin, second_origin)


@pytest.fixture(scope="package")
def module_page(shared_harness: PageHarness) -> Iterator[Page]:
    """Open a page for tests that import single JavaScript modules."""
    with shared_harness.open_page() as opened:
        yield opened


@pytest.fixture
def harness(shared_harness: PageHarness) -> PageHarness:
    """Reset the origins: items 1 to 40 have covers, item 41 has none, and the image of item 42 is missing."""
    shared_harness.origin.clear()
    shared_harness.second_origin.clear()
    image = page(IMAGE, headers={"Content-Type": "image/svg+xml"})
    for number in range(1, 41):
        shared_harness.origin.item(number, cover(number))
        shared_harness.origin.pages[COVER_PATH.format(number=number)] = image
    shared_harness.origin.item(41, page("<p>nothing to see</p>"))
    shared_harness.origin.item(42, cover(42))
    return shared_harness
