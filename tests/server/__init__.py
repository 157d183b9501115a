"""Tests of app/server: real gunicorn processes with an echo application, over real sockets."""
