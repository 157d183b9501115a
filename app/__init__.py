"""covers: answers with the cover image's URL of an item, over XML-RPC.

``app.wsgi`` is the WSGI application that gunicorn serves. It is built from the settings in force when it is first
asked for; importing this package does nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    wsgi: WSGIApplication


def __getattr__(name: str) -> object:
    """Build ``wsgi`` on first access (PEP 562); any other name is not here."""
    if name != "wsgi":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Imported here, and nowhere else inside a function: importing app must stay free of effects.
    from app.config.loading import current_settings  # noqa: PLC0415 - see above
    from app.main import build_wsgi  # noqa: PLC0415 - see above

    globals()["wsgi"] = application = build_wsgi(current_settings())
    return application
