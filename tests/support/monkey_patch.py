"""Loaded by pytest before anything else (see pyproject.toml), so that the tests run patched like the service."""

from gevent import monkey

monkey.patch_all()
