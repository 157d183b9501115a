"""The picture of the web page in the README: the demo's shop and service, seen by a browser.

``python -m tests.support.screenshot FILE`` makes it anew, in half a minute. Which fonts it has depends on the machine.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.catalogue import draw_up
from tests.support.browser import Page, browsing

#: How many covers are seen, and at which place one that the shop does not have.
_COVERS, _MISSING = 11, 8

#: How often they are looked up, for the live view to have something to tell; seconds in between.
_ROUNDS, _PAUSE = 10, 2.0

_WIDTH = 1280

_PAGE = re.compile(r"^  the web page is at +(http\S+)$")

#: True in the second frame from now: by then all that has changed is drawn.
_DRAWN = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))).then(() => true)"

#: How far down there is something to see: to the page's end, or to that of its covers where there is no live view.
_END = "(tiles.hidden ? document.querySelector('main') : document.body).getBoundingClientRect().bottom"


def main(file: Path) -> None:
    """Run the demo, have a look at it and save that."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("chromium is not installed")
    catalogue = draw_up()
    ids = [content_id for content_id, product in catalogue.products.items() if product.cover is not None][:_COVERS]
    ids.insert(_MISSING, catalogue.missing[0])
    with _demo() as address, browsing(program) as browser, browser.page(width=_WIDTH) as page:
        page.open(f"{address}#ids={','.join(map(str, ids))}")
        _wait(page)
        for _ in range(_ROUNDS):
            page.click("#find")
            _wait(page)
            time.sleep(_PAUSE)
        page.value("document.activeElement.blur()")
        page.resize(_WIDTH, round(page.value(_END)))
        page.value(_DRAWN)
        file.write_bytes(page.picture())


def _wait(page: Page) -> None:
    """Wait until all covers are there."""
    page.until("!clear.hidden")
    page.until(f"document.querySelectorAll('#shelf img.there').length === {_COVERS}")


@contextmanager
def _demo() -> Iterator[str]:
    """Run the demo; yield the address of the web page."""
    command = [sys.executable, "-m", "demo", "--delay", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            yield next(found[1] for line in process.stdout if (found := _PAGE.match(line.rstrip("\n"))))
        finally:
            process.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
