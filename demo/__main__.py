"""`python -m demo`: starts the sample shop and the service, looks covers up, and keeps both running.

The demo ends on Ctrl-C, SIGTERM or SIGHUP: it stops its processes, removes its files and exits with status 0. With
`--once` it ends after the summary, with status 1 if a result was not correct. If the shop or the service does not
start, or ends too early, the demo reports that and exits with status 1.
"""

import argparse
import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from demo import summary
from demo.catalogue import WITHOUT_COVER, build_catalogue
from demo.client import Run, is_ready, look_up_concurrently, look_up_in_one_call, look_up_sequentially
from demo.processes import Process, ProcessFailedError, running
from demo.signals import DeferredSignals

_PROJECT = Path(__file__).resolve().parent.parent
_CLIENTS = 64
_EXAMPLES = 4
_PAGE_IDS = 12
_DELAY_SECONDS = 0.3

# Two workers, each with its own memory: only the shared store ensures that each page is fetched once.
_WORKERS = 2

_CONFIGURATION = r"""
default_source = "ozon"
store = "sqlite:{store}"

[sources.ozon]
page_url = "{shop}/context/detail/id/{{id}}"
id_pattern = '\d{{1,19}}'
extract = [{{regex = '(/multimedia/audio_cd_covers/(?:\d+)\.jpg)'}}]
private_network = true
concurrency = {concurrency}
"""

# Without the HTTP proxy of the environment, which cannot reach loopback addresses of this machine.
_open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
# Flushed even if standard output is a pipe: its reader gets the summary while the demo keeps running.
_print = partial(print, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="Run a sample shop and the service, and look covers up."
    )
    parser.add_argument("--once", action="store_true", help="exit after the summary")
    parser.add_argument(
        "--delay",
        type=float,
        default=_DELAY_SECONDS,
        metavar="SECONDS",
        help="how long the shop takes for a page (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    signals = DeferredSignals()
    try:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="covers-demo-")))
            shop = stack.enter_context(_shop(directory, options.delay))
            service = stack.enter_context(_service(directory, shop))
            with signals.unblocked():
                _wait_until_ready(shop, service)
                is_correct = _look_up_all(shop, service, options.delay)
                if options.once:
                    return 0 if is_correct else 1
                _keep_running(shop, service)
    except ProcessFailedError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of standard output went away. Python's flush at exit must not fail because of that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        pass
    return 0


def _shop(directory: Path, delay: float) -> AbstractContextManager[Process]:
    return running(
        "sample shop",
        lambda listener: [
            *(sys.executable, "-m", "demo.shop"),
            *("--fd", str(listener), "--delay", str(delay)),
        ],
        directory=_PROJECT,
        output=directory / "shop.log",
    )


def _service(directory: Path, shop: Process) -> AbstractContextManager[Process]:
    configuration = directory / "covers.toml"
    configuration.write_text(
        _CONFIGURATION.format(shop=shop.address, store=directory / "covers.db", concurrency=_CLIENTS)
    )
    # Variables that configure another instance of the service must not apply to this one.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COVERS_", "GUNICORN_"))}
    return running(
        "service",
        lambda listener: [
            *(sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py"),
            *("--bind", f"fd://{listener}", "app:wsgi"),
        ],
        directory=_PROJECT,
        output=directory / "service.log",
        environment=environment | {"COVERS_CONFIG": str(configuration), "COVERS_WORKERS": str(_WORKERS)},
        group_leader=shop,
    )


def _wait_until_ready(shop: Process, service: Process) -> None:
    shop.wait_until(lambda: _pages_served(shop) == 0)
    service.wait_until(lambda: is_ready(_rpc_url(service)))


def _look_up_all(shop: Process, service: Process, delay: float) -> bool:
    """Look all covers up with a cold and a warm cache, and print a summary; return whether all results are correct."""
    catalogue = build_catalogue()
    ids = catalogue.ids()
    checker = summary.ResultChecker(catalogue, shop.address)
    _print(
        f"A sample shop with {len(catalogue.products)} records, {WITHOUT_COVER} of them without a picture. "
        f"Each page takes {delay * 1000:.0f} ms."
    )
    _print(f"The service with {_WORKERS} workers and an empty cache.")
    look_ups: tuple[tuple[str, Callable[[str, Sequence[int]], Run]], ...] = (
        (
            f"Cold: get_cover for {len(ids)} ids, {_CLIENTS} clients at once",
            partial(look_up_concurrently, clients=_CLIENTS),
        ),
        ("Warm: the same ids, one client, one call after the other", look_up_sequentially),
        ("Warm: the same ids in one call of get_covers", look_up_in_one_call),
    )
    is_correct = True
    for heading, look_up in look_ups:
        pages_before = _pages_served(shop)
        run = look_up(_rpc_url(service), ids)
        shop.check()
        service.check()
        pages = _pages_served(shop) - pages_before
        lines = [*checker.summarise(run), summary.format_times(run), summary.format_pages(pages, len(ids))]
        _print("\n".join(["", heading, *(f"  {line}" for line in lines)]))
        is_correct = is_correct and not checker.incorrect(run)
    _print("\nSome of the results:")
    for result in run.results[:_EXAMPLES]:
        _print(f"  {summary.format_result(result)}")
    found = next(((result.content_id, result.url) for result in run.results if result.url is not None), None)
    if found is not None:
        content_id, url = found
        _print(f"The shop serves {url}: {_describe_picture(url)}.")
        _print(summary.next_steps(service.address, shop.address, content_id, ids[:_PAGE_IDS]))
    return is_correct


def _keep_running(shop: Process, service: Process) -> None:
    """Wait until a signal ends the demo, or one of its processes ends."""
    _print("\nThe shop and the service keep running until you press Ctrl-C.")
    while True:
        time.sleep(0.5)
        shop.check()
        service.check()


def _rpc_url(service: Process) -> str:
    return f"{service.address}/RPC2"


def _pages_served(shop: Process) -> int:
    """Return the number of product pages that the shop has served so far."""
    with _open_url(f"{shop.address}/stats", timeout=5.0) as response:
        return int(json.load(response)["pages"])


def _describe_picture(url: str) -> str:
    """Return the status, the content type and the size of the response for a cover's URL."""
    with _open_url(url, timeout=5.0) as response:
        return f"{response.status} {response.headers['Content-Type']}, {len(response.read())} bytes"


if __name__ == "__main__":
    sys.exit(main())
