"""covers: a service that finds the URL of an item's cover image, over XML-RPC.

``app.wsgi`` is the WSGI application that gunicorn serves. It is built from the current settings on first access;
importing this package has no effects.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    wsgi: WSGIApplication


def __getattr__(name: str) -> object:
    """Build ``wsgi`` on first access (PEP 562). Raises AttributeError for any other name."""
    if name != "wsgi":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Imported here, since importing the package must have no effects.
    from app.config.loading import current_settings  # noqa: PLC0415 - see above
    from app.main import build_wsgi  # noqa: PLC0415 - see above

    globals()["wsgi"] = application = build_wsgi(current_settings())
    return application
