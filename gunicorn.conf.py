"""gunicorn's settings and hooks for the service: ``gunicorn -c gunicorn.conf.py app:wsgi``.

gunicorn's command-line flags override the settings in this file.
"""

# The patch must come first, so that all modules imported afterwards get cooperative sockets, including ssl.
from gevent import monkey

monkey.patch_all()

import gevent

# By default, gevent records for debuggers where a greenlet was spawned. That takes a tenth of the cost of a greenlet.
gevent.config.track_greenlet_tree = False

import glob
import importlib
import logging
import os
import signal
import sys
from pathlib import Path

# gunicorn imports app:wsgi from the directory in which it was started, which need not be the directory of this file.
_root = str(Path(__file__).resolve().parent)
if _root not in sys.path:
    sys.path.insert(0, _root)

# gunicorn runs this file again at each reload (HUP). Removing the application's modules first makes the reload import
# the code that is on disk now.
_previous_modules = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "app"}


# gunicorn's gevent worker with timeouts and limits for clients.
worker_class = "app.server.Worker"

# gunicorn and the application use the same log format.
logger_class = "app.telemetry.logs.Logger"


def _load():
    """Read the settings, and import the application's modules in the master.

    Workers inherit both through fork. Therefore all workers have the same settings and code, and no worker spends a
    second on importing. With ``preload_app``, the master would also build the application, and a reload would keep the
    old code.
    """
    from app.config.loading import current_settings, load_server_settings
    from app.fetch.tls import default_context
    from app.main import label_values, open_store

    for name in (worker_class, logger_class):  # gunicorn would exit if it could not import them after a reload
        importlib.import_module(name.rpartition(".")[0])

    server, settings = load_server_settings(os.environ), current_settings()
    open_store(settings)  # checks the store's URL, but does not connect
    default_context()  # loads the trusted CA certificates
    return server, settings, list(label_values(settings).counter_keys())


_log = logging.getLogger("app")


def _settings_fields():
    from app.config.settings import redacted_settings
    from app.domain.version import VERSION

    return {"version": VERSION, **redacted_settings(_settings)}


try:
    _server, _settings, _counter_keys = _load()
except Exception as error:
    if _previous_modules:
        # A failed reload must not end a running server. The server continues with the previous code and settings.
        _log.error("reload failed, settings and code are unchanged: %s", error)
        sys.modules.update(_previous_modules)
        _server, _settings, _counter_keys = _load()
    elif type(error).__name__ == "SettingsError":  # compared by name, because the import of the class may have failed
        sys.exit(str(error))
    else:
        raise
else:
    if _previous_modules:
        _log.info("settings and code were reloaded", extra=_settings_fields())

loglevel = _server.log_level

bind = _server.bind
workers = _server.workers

# The Python parser rejects obsolete line folding and bare LF. gunicorn_h1c accepts both, and "auto" would use
# gunicorn_h1c if it is installed.
http_parser = "python"

# Two instances with the same HOME would use the same control socket, which the service does not need.
control_socket_disable = True

# The maximum number of open connections in a worker. Each takes a greenlet and a file descriptor.
worker_connections = 1000
backlog = 2048

# Seconds within which a request head must arrive. An idle connection is closed after the same time.
keepalive = 5

# A worker that shuts down finishes the requests in progress. A request takes at most 10 seconds to read its body, and
# then `deadline` seconds until the response. If the hub does not run for `timeout` seconds, the worker is stuck and the
# master replaces the worker.
graceful_timeout = int(_settings.deadline) + 15
timeout = 30

# The limits are far above the requests of XML-RPC clients.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# No header may set a variable of the WSGI environ. By default, a client on loopback could set SCRIPT_NAME.
forwarder_headers = ""


# The counters of all workers are in memory that the master allocates. The counters are kept over reloads. When a worker
# has exited, the next new worker gets the slot of that worker, including the counts.


def on_starting(server):
    """Allocate the shared counters.

    During a reload there are twice as many workers, and each TTIN signal adds one. There are slots for both.
    """
    from app.store import purge_log
    from app.telemetry.shared_counters import SharedCounters

    server.covers_counters = SharedCounters.create(4 * server.cfg.workers + 64)
    server.covers_counters.add(_counter_keys)
    server.covers_purges = purge_log.allocate(server.covers_counters.slots)


def on_reload(server):
    """Add the counters that the new settings need, and let the old workers know that they are being replaced."""
    from app.telemetry.shared_counters import SharedCounters

    server.covers_counters = SharedCounters(server.covers_counters.state)  # the class was reloaded too
    server.covers_counters.add(_counter_keys)
    server.covers_counters.count_reload()


def pre_fork(server, worker):
    """Reserve a slot for the worker, and switch off gunicorn's reloader in the worker: the master reloads."""
    server.cfg.set("reload", False)  # noqa: FBT003 - gunicorn's signature
    worker.covers_slot = server.covers_counters.free_slot({other.covers_slot for other in server.WORKERS.values()})


def post_fork(server, worker):
    """Restore the default signal handlers until the worker installs its own, and assign its slot.

    The handlers inherited from the master would put a signal into the master's queue, which a worker does not read. The
    master would then wait for the worker until graceful_timeout.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)

    from app.telemetry import worker_slot

    # A flag may select one of gunicorn's own worker classes, which lack the attribute.
    worker_slot.assign(
        server.covers_counters,
        server.covers_purges,
        worker.covers_slot,
        lambda: getattr(worker, "was_told_to_stop", False),
    )


def worker_exit(server, worker):
    """Clear the gauges of a worker that shuts down, so that child_exit does not count it as died.

    gunicorn calls this in the worker process.
    """
    from app.telemetry.counters import clear_gauges

    clear_gauges(server.covers_counters, worker.covers_slot)


def child_exit(server, worker):
    """Release the slot of a worker that has exited, and count the worker if it died.

    gunicorn calls this in the master process.
    """
    from app.telemetry.counters import count_worker_exit

    count_worker_exit(server.covers_counters, worker.covers_slot, was_stuck=worker.aborted)


def when_ready(server):
    """Log the version and the settings once the server listens. With ``--reload``, watch the code."""
    from app.server.file_watcher import watch_files
    from app.server.worker_classes import worker_class_warning

    _log.info("the server has started", extra=_settings_fields())
    warning = worker_class_warning(server.worker_class, name=server.cfg.worker_class_str, threads=server.cfg.threads)
    if warning:
        _log.warning(warning)
    if server.cfg.reload:
        _log.warning("changed code is reloaded at once (--reload): for development only")
        watch_files(lambda: _watched_files(server), _reload_because)


#: The suffixes of the files that the application consists of. Editors write files with other suffixes next to them.
_WATCHED_SUFFIXES = {".css", ".html", ".js", ".py", ".svg", ".toml"}


def _watched_files(server):
    """Yield the files of the application, the settings file, and the files that ``--reload-extra-file`` names."""
    yield from (path for path in Path(_root, "app").rglob("*") if path.suffix in _WATCHED_SUFFIXES)
    if config := os.environ.get("COVERS_CONFIG"):
        yield Path(config)
    for pattern in server.cfg.reload_extra_files:
        yield from map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern


def _reload_because(changed):
    """Reload as HUP does: if the new code or settings are invalid, the server continues with the previous ones."""
    _log.info("reloading, because a file has changed", extra={"files": [str(path) for path in changed]})
    os.kill(os.getpid(), signal.SIGHUP)


def post_worker_init(worker):
    """Log errors of greenlets, and that the worker is ready."""
    from app.telemetry.logs import log_greenlet_errors

    log_greenlet_errors()
    _log.info("the worker is ready")


# The heartbeat is the time stamp of a temporary file. An update of the time stamp must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
