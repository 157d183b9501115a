"""The demo: `python -m demo` runs the sample shop and the service, looks covers up, and serves on until told to end.

Ctrl-C, SIGTERM and SIGHUP are how it is meant to be ended: it then ends what it started, removes its files and exits
with status 0. With `--once` it ends after the summary by itself, with status 1 if an answer was not what the shop has.
Where the shop or the service does not come up, or goes away, it says so and exits with status 1.
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
from demo.catalogue import WITHOUT_COVER, draw_up
from demo.client import Round, ask_in_one_call, ask_one_by_one, ask_together, is_answering
from demo.ending import Ending
from demo.processes import Process, ProcessFailedError, running

_PROJECT = Path(__file__).resolve().parent.parent
_CLIENTS = 64
_EXAMPLES = 4
_LOOK = 12
_DELAY = 0.3

# Two workers, each with a memory of its own: that a page is fetched once all the same is the work of the store.
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

# Past the HTTP proxy that the machine may be set to use: it knows nothing of addresses on loopback.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
# At once, also into a pipe: whoever waits for the summary there sees it while the demo serves on.
_say = partial(print, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and answer its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="A sample shop and the service, asked for covers."
    )
    parser.add_argument("--once", action="store_true", help="end after the summary instead of serving on")
    parser.add_argument(
        "--delay",
        type=float,
        default=_DELAY,
        metavar="SECONDS",
        help="how slow the shop's pages are (default: %(default)s)",
    )
    chosen = parser.parse_args(arguments)
    ending = Ending()
    try:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="covers-demo-")))
            shop = stack.enter_context(_shop(directory, chosen.delay))
            service = stack.enter_context(_service(directory, shop))
            with ending.allowed():
                _wait(shop, service)
                all_right = _look_up(shop, service, chosen.delay)
                if chosen.once:
                    return 0 if all_right else 1
                _serve_on(shop, service)
    except ProcessFailedError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read along has seen enough; Python is not to complain again when it flushes what is left.
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
    # What the environment says about a service elsewhere is not meant for this one.
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
        beside=shop,
    )


def _wait(shop: Process, service: Process) -> None:
    """Wait until both answer."""
    shop.wait_till(lambda: _pages(shop) == 0)
    service.wait_till(lambda: is_answering(_rpc(service)))


def _look_up(shop: Process, service: Process, delay: float) -> bool:
    """Look everything up, cold and warm, and print what came of it; whether every answer was right."""
    catalogue = draw_up()
    ids = catalogue.ids()
    judge = summary.Judge(catalogue, shop.address)
    bare = f"{WITHOUT_COVER} of them without a picture"
    _say(f"A sample shop with {len(catalogue.products)} records, {bare}; a page of it takes {delay * 1000:.0f} ms.")
    _say(f"The service with {_WORKERS} workers, which know nothing yet.")
    rounds: tuple[tuple[str, Callable[[str, Sequence[int]], Round]], ...] = (
        (f"Cold: get_cover for {len(ids)} ids, {_CLIENTS} clients at once", partial(ask_together, clients=_CLIENTS)),
        ("Warm: the same ids, one client, one call after the other", ask_one_by_one),
        ("Warm: the same ids in one call of get_covers", ask_in_one_call),
    )
    all_right = True
    for heading, ask in rounds:
        before = _pages(shop)
        asked = ask(_rpc(service), ids)
        shop.check()
        service.check()
        lines = [*judge.outcome(asked), summary.times(asked), summary.pages(_pages(shop) - before, len(ids))]
        _say("\n".join(["", heading, *(f"  {line}" for line in lines)]))
        all_right = all_right and not judge.wrong(asked)
    _say("\nSome of the answers:")
    for answer in asked.answers[:_EXAMPLES]:
        _say(f"  {summary.example(answer)}")
    found = next(((answer.content_id, answer.url) for answer in asked.answers if answer.url is not None), None)
    if found is not None:
        content_id, url = found
        _say(f"The shop serves {url}: {_picture(url)}.")
        _say(summary.invitation(service.address, shop.address, content_id, ids[:_LOOK]))
    return all_right


def _serve_on(shop: Process, service: Process) -> None:
    """Stay until a signal ends this, or one of the two processes does."""
    _say("\nBoth serve on until you press Ctrl-C.")
    while True:
        time.sleep(0.5)
        shop.check()
        service.check()


def _rpc(service: Process) -> str:
    return f"{service.address}/RPC2"


def _pages(shop: Process) -> int:
    """How many product pages the shop has served so far."""
    with _open(f"{shop.address}/stats", timeout=5.0) as answer:
        return int(json.load(answer)["pages"])


def _picture(url: str) -> str:
    """What is served at a cover's URL, in words."""
    with _open(url, timeout=5.0) as answer:
        return f"{answer.status} {answer.headers['Content-Type']}, {len(answer.read())} bytes"


if __name__ == "__main__":
    sys.exit(main())
