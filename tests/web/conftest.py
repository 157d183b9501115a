"""The stage for the tests of the page; the browser and the service are the same for all of them."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.browser import Page, browsing
from tests.support.scripted_origin import COVER_PATH, Origin, cover, page
from tests.support.service import CONFIG, run_service
from tests.web.page_harness import PageHarness

#: A second source at an origin that fails, and is left alone for that in the end.
SAD = """
[sources.sad]
page_url = "{origin}/context/detail/id/{{id}}"
id_pattern = '.+'
extract = [{{ css = 'img', attribute = 'src' }}]
private_network = true
retries = 0
"""

PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="#0a7"/></svg>'


@pytest.fixture(scope="package")
def company(require: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageHarness]:
    """All that is on the stage."""
    program = require("chromium")
    with Origin().serving() as origin, Origin().serving() as sad:
        config = CONFIG.format(origin=origin.url) + SAD.format(origin=sad.url)
        with run_service(tmp_path_factory.mktemp("page"), config) as server, browsing(program) as browser:
            yield PageHarness(browser, server, origin, sad)


@pytest.fixture(scope="package")
def modules(company: PageHarness) -> Iterator[Page]:
    """Open a page in which the parts of its script can be called."""
    with company.visit() as visited:
        yield visited


@pytest.fixture
def stage(company: PageHarness) -> PageHarness:
    """Set the stage: items 1 to 40 have covers, the page of 41 has none, 42 has one that is not there."""
    company.origin.clear()
    company.sad.clear()
    picture = page(PICTURE, headers={"Content-Type": "image/svg+xml"})
    for number in range(1, 41):
        company.origin.item(number, cover(number))
        company.origin.pages[COVER_PATH.format(number=number)] = picture
    company.origin.item(41, page("<p>nothing to see</p>"))
    company.origin.item(42, cover(42))
    return company
