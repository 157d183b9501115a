"""gunicorn's gevent worker with timeouts and limits for clients, and fast paths for repeated requests.

The package imports no other package of the application. The application also runs with other WSGI servers.
"""

from app.server.worker import Worker as Worker
