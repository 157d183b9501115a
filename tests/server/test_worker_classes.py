"""The warning at the start if a flag selects one of gunicorn's worker classes, and that the warning is true."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
from gunicorn.workers.ggevent import GeventWorker

from app.server.worker_classes import worker_class_warning
from tests.support.scripted_origin import Barrier, Origin, cover
from tests.support.service import CONFIG, Service, run_service

ONE = "serves one call at a time: a slow page or a slow client holds up all other calls to the same worker process"
THREE = (
    "serves 3 calls at a time: as many slow pages or slow clients hold up all other calls to the same worker process"
)
NO_LIMITS = "has neither the limits for clients that docs/worker.md describes nor the response cache"
NOT_WSGI = "cannot run a WSGI application: every request gets status 500"

DEFAULT = "Use app.server.Worker, which is the default."

WARNINGS = {
    "": [],
    "-k app.server.Worker": [],
    "-k tests.server.short_timeouts.ShortTimeoutWorker": [],
    "-k sync": [f"the worker class sync {ONE}. {DEFAULT}"],
    "-k sync --threads 3": [f"the worker class gthread {THREE}. {DEFAULT}"],
    "-k gthread": [f"the worker class gthread {ONE}. {DEFAULT}"],
    "-k gthread --threads 3": [f"the worker class gthread {THREE}. {DEFAULT}"],
    "-k gevent": [f"the worker class gevent {NO_LIMITS}. {DEFAULT}"],
    "-k gevent_pywsgi": [f"the worker class gevent_pywsgi {NO_LIMITS}. {DEFAULT}"],
    "-k gunicorn.workers.sync.SyncWorker": [f"the worker class gunicorn.workers.sync.SyncWorker {ONE}. {DEFAULT}"],
    "-k asgi": [f"the worker class asgi {NOT_WSGI}. {DEFAULT}"],
}


@contextmanager
def run_with_flags(folder: Path, flags: str, origin: str = "http://127.0.0.1:9", workers: int = 1) -> Iterator[Service]:
    with run_service(
        folder, CONFIG.format(origin=origin), workers=workers, extra={"GUNICORN_CMD_ARGS": flags}
    ) as server:
        yield server


@pytest.mark.parametrize(("flags", "warnings"), WARNINGS.items())
def test_another_worker_class_is_one_warning_at_the_start(tmp_path: Path, flags: str, warnings: list[str]) -> None:
    """The warning says what this class does worse. Our class and its subclasses cause none."""
    with run_with_flags(tmp_path, flags, workers=2) as server:
        with gevent.Timeout(20):
            while len(server.events(event="the worker is ready")) < 2:
                gevent.sleep(0.05)
        assert [event["event"] for event in server.events(level="warning", logger="app")] == warnings


@pytest.mark.parametrize(
    ("flags", "at_once"),
    [("-k sync", 1), ("-k gthread", 1), ("-k gthread --threads 3", 3), ("-k gevent", 8), ("-k app.server.Worker", 8)],
)
def test_the_number_of_calls_at_a_time(origin: Origin, tmp_path: Path, flags: str, at_once: int) -> None:
    """Eight calls of slow pages: so many of the pages are requested before the first one is answered."""
    barriers = {number: Barrier(cover(number)) for number in range(1, 9)}
    for number, barrier in barriers.items():
        origin.item(number, barrier)
    with run_with_flags(tmp_path, flags, origin.url) as server:
        callers = [gevent.spawn(server.client().get_cover, number) for number in barriers]
        with gevent.Timeout(20):
            while origin.in_progress < at_once:
                gevent.sleep(0.01)
        gevent.sleep(0.5)
        assert origin.in_progress == at_once
        for barrier in barriers.values():
            barrier.go.set()
        assert all(caller.get().endswith(".jpg") for caller in callers)


def test_every_request_of_an_asgi_worker_is_500(tmp_path: Path) -> None:
    with run_with_flags(tmp_path, "-k asgi") as server, pytest.raises(Exception, match="500 Internal Server Error"):
        server.client().list_sources()


class OwnWorker(GeventWorker):
    """A worker class that this service does not know."""


def test_a_class_without_an_entry_has_the_disadvantages_of_its_base() -> None:
    warning = worker_class_warning(OwnWorker, name="own", threads=1)
    assert warning == f"the worker class own {NO_LIMITS}. {DEFAULT}"
