"""A pytest plugin that patches the standard library as the service does; pyproject.toml loads it first."""

from gevent import monkey

monkey.patch_all()
