"""The disadvantages of gunicorn's own worker classes, which a flag can select in place of ``app.server.Worker``."""

_ONE_AT_A_TIME = (
    "serves one call at a time: a slow page or a slow client holds up all other calls to the same worker process"
)
_FEW_AT_A_TIME = (
    "serves {threads} calls at a time: as many slow pages or slow clients hold up all other calls to the same worker "
    "process"
)
_NO_LIMITS = "has neither the limits for clients that docs/worker.md describes nor the response cache"
_NOT_WSGI = "cannot run a WSGI application: every request gets status 500"

#: The disadvantages by class, "" for none. A class without an entry has those of its base class.
_DISADVANTAGES = {
    "gunicorn.workers.sync.SyncWorker": _ONE_AT_A_TIME,
    "gunicorn.workers.gtornado.TornadoWorker": _ONE_AT_A_TIME,
    "gunicorn.workers.gthread.ThreadWorker": _FEW_AT_A_TIME,
    "gunicorn.workers.gasgi.ASGIWorker": _NOT_WSGI,
    "gunicorn.workers.base.Worker": _NO_LIMITS,
    "app.server.worker.Worker": "",
}


def worker_class_warning(worker_class: type, *, name: str, threads: int) -> str | None:
    """Return a line about the disadvantages of a worker class, or None for our class and its subclasses.

    ``name`` is the name by which the class was selected, and ``threads`` is gunicorn's setting.
    """
    bases = [f"{base.__module__}.{base.__qualname__}" for base in worker_class.__mro__]
    disadvantage = next(_DISADVANTAGES[base] for base in bases if base in _DISADVANTAGES)
    if disadvantage is _FEW_AT_A_TIME and threads == 1:
        disadvantage = _ONE_AT_A_TIME
    if not disadvantage:
        return None
    return (
        f"the worker class {name} {disadvantage.format(threads=threads)}. Use app.server.Worker, which is the default."
    )
