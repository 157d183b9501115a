"""How gunicorn serves the application: ``gunicorn -c gunicorn.conf.py app:wsgi``.

gunicorn's own flags beat what stands here.
"""

# First of all: whatever is imported from here on gets cooperative sockets, ssl included.
from gevent import monkey

monkey.patch_all()

import gevent

# Who spawned whom, with the stack of that moment, is for debuggers: a tenth of what a greenlet costs.
gevent.config.track_greenlet_tree = False

import logging
import os
import signal
import sys
from pathlib import Path

# gunicorn looks for app:wsgi where it was started; it is here, wherever that was.
_here = str(Path(__file__).resolve().parent)
if _here not in sys.path:
    sys.path.insert(0, _here)

# gunicorn runs this file again at each reload (HUP). What the master has imported of the application is set aside then,
# so that the reload serves the code and the settings that are on disk now.
_before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "app"}


def _read_settings():
    from app.config.loading import current_settings, load_server_settings

    server, settings = load_server_settings(os.environ), current_settings()

    # Workers inherit settings and code through fork: all have the same, and none takes a second to import it. Nothing
    # is opened by that; preload_app would build the application here too, and keep its code over a reload.
    from app.fetch.tls import default_context
    from app.main import label_values, open_store

    open_store(settings)  # which opens nothing yet, but looks at what it is told
    default_context()  # which reads the certificates of authorities that are trusted
    return server, settings, list(label_values(settings).columns())


_log = logging.getLogger("app")


def _told():
    from app.config.settings import redacted_settings
    from app.domain.version import VERSION

    return {"version": VERSION, **redacted_settings(_settings)}


try:
    _server, _settings, _columns = _read_settings()
except Exception as error:
    if _before:
        # A reload that cannot be done must not end a server that runs: it goes on as it was.
        _log.error("not reloaded, settings and code stay as they were: %s", error)
        sys.modules.update(_before)
        _server, _settings, _columns = _read_settings()
    elif type(error).__name__ == "SettingsError":  # by its name: the code that has the class may be what fails
        sys.exit(str(error))
    else:
        raise
else:
    if _before:
        _log.info("settings and code are read again", extra=_told())

# One form for all lines; app/telemetry/logs.py makes it.
logger_class = "app.telemetry.logs.Logger"
loglevel = _server.log_level

bind = _server.bind
workers = _server.workers

# gunicorn's gevent worker with bounds for its peers; app/server says which.
worker_class = "app.server.Worker"

# The Python parser refuses obsolete folding and bare LF; gunicorn_h1c takes both, and "auto" would use it if installed.
http_parser = "python"

# Two instances with one HOME would take each other's control socket, and nothing here is controlled through it.
control_socket_disable = True

# Open connections of a worker; each costs a greenlet and a file descriptor.
worker_connections = 1000
backlog = 2048

# A head has this many seconds to arrive, an idle connection as many to ask again.
keepalive = 5

# A worker that leaves finishes what is under way, which is answered within `deadline`; before that a peer may have
# taken up to 10 seconds for its body. Beyond it, silence of the hub for `timeout` seconds means that it is stuck, and
# the master replaces the worker.
graceful_timeout = int(_settings.deadline) + 15
timeout = 30

# No XML-RPC client comes near these.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# No header stands for a variable of the environ; SCRIPT_NAME from a peer on loopback would, by default.
forwarder_headers = ""


# Workers count on a board of the master's, each in a row of its own. The board stays over reloads, and a row with its
# counts is the next worker's when its own has gone.


def on_starting(server):
    """Lay out the board: over a reload there are twice as many workers, and TTIN adds some."""
    from app.telemetry.shared_counters import SharedCounters

    server.covers_counters = SharedCounters.create(4 * server.cfg.workers + 64)
    server.covers_counters.add(_columns)


def on_reload(server):
    """Have the board take what the new settings have to count, and the workers who leave know that others come."""
    from app.telemetry.shared_counters import SharedCounters

    server.covers_counters = SharedCounters(server.covers_counters.parts)  # its code is new as well
    server.covers_counters.add(_columns)
    server.covers_counters.count_reload()


def pre_fork(server, worker):
    """Give the worker a row."""
    worker.covers_slot = server.covers_counters.free_slot({other.covers_slot for other in server.WORKERS.values()})


def post_fork(server, worker):
    """Let a signal to end do so at once while the worker has no handlers of its own yet; tell the application its seat.

    Those that it inherits from the master would only put it into a queue that nobody reads, and the master would wait
    for the worker until graceful_timeout.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)

    from app.telemetry import worker_slot

    # A worker of gunicorn's own, where a flag has asked for one, does not say it.
    worker_slot.assign(server.covers_counters, worker.covers_slot, lambda: getattr(worker, "was_told_to_stop", False))


def worker_exit(server, worker):
    """Have nobody take the worker, which calls this itself, for one that is there, or for one that has died."""
    from app.telemetry.counters import clear_gauges

    clear_gauges(server.covers_counters, worker.covers_slot)


def child_exit(server, worker):
    """Count the worker if it has died; it is gone in any case."""
    from app.telemetry.counters import count_worker_exit

    count_worker_exit(server.covers_counters, worker.covers_slot, was_stuck=worker.aborted)


def when_ready(server):
    """Tell what is served, now that the listeners are there."""
    _log.info("the server is started", extra=_told())


def post_worker_init(worker):
    """Tell that a worker has begun to serve."""
    from app.telemetry.logs import log_greenlet_errors

    log_greenlet_errors()
    _log.info("the worker is ready")


# The heartbeat is a file's time stamp, which must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
