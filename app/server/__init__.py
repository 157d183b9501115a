"""gunicorn's gevent worker with timeouts and limits for clients, and fast paths for repeated requests.

The package imports nothing else of the application, which runs behind any WSGI server.
"""

from app.server.worker import Worker as Worker
