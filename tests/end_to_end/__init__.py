"""Tests of the whole service: real gunicorn processes, a scripted origin, real sockets."""
