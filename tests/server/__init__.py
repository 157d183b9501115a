"""Tests of the door: real gunicorns with an application that echoes, over real sockets."""
