"""The whole service: a real gunicorn, a real origin, real sockets."""
