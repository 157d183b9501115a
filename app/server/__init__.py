"""The door: gunicorn's gevent worker, with bounds for peers that hold on and a short way for plain requests.

It stands apart from the application, which works behind any WSGI server, and knows nothing of it.
"""

from app.server.worker import Worker as Worker
