"""The screenshot of the web page in the README: the page of the demo's service, with covers of the demo's shop.

``python -m tests.support.screenshot FILE`` takes it in half a minute. Its fonts depend on the machine.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.catalogue import build_catalogue
from tests.support.browser import Page, run_browser

#: The number of covers, and the index of the item that the shop does not have.
_COVERS, _MISSING_INDEX = 11, 8

#: The lookups are repeated, so that the charts of the live view have data: this many times, with this pause in seconds.
_REPEATS, _PAUSE = 10, 2.0

_WIDTH = 1280

_PAGE_LINE = re.compile(r"^  the web page is at +(http\S+)$")

#: Resolves in the second frame from now, when all changes have been painted.
_PAINTED = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))).then(() => true)"

#: The height of the content: that of the whole page, or without its footer if there is no live view.
_HEIGHT = "(panels.hidden ? document.querySelector('main') : document.body).getBoundingClientRect().bottom"


def main(file: Path) -> None:
    """Run the demo and save a screenshot of its page."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("chromium is not installed")
    catalogue = build_catalogue()
    ids = [content_id for content_id, product in catalogue.products.items() if product.cover is not None][:_COVERS]
    ids.insert(_MISSING_INDEX, catalogue.missing[0])
    with _demo() as url, run_browser(program) as browser, browser.page(width=_WIDTH) as page:
        page.open(f"{url}#ids={','.join(map(str, ids))}")
        _wait_for_covers(page)
        for _ in range(_REPEATS):
            page.click("#find")
            _wait_for_covers(page)
            time.sleep(_PAUSE)
        page.evaluate("document.activeElement.blur()")
        page.resize(_WIDTH, round(page.evaluate(_HEIGHT)))
        page.evaluate(_PAINTED)
        file.write_bytes(page.screenshot())


def _wait_for_covers(page: Page) -> None:
    """Wait until the lookup has finished and all covers are loaded."""
    page.wait_for("!clear.hidden")
    page.wait_for(f"document.querySelectorAll('#results img.loaded').length === {_COVERS}")


@contextmanager
def _demo() -> Iterator[str]:
    """Run the demo; yield the URL of its web page."""
    command = [sys.executable, "-m", "demo", "--delay", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            yield next(found[1] for line in process.stdout if (found := _PAGE_LINE.match(line.rstrip("\n"))))
        finally:
            process.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
