"""A source at a scripted origin."""

from typing import Any

from app.config.rules import Pattern, Rule
from app.config.source import Source
from app.config.url_templates import PageUrl


def source_at(url: str, **keys: Any) -> Source:
    """Return a source whose pages are at the root of ``url``, where private addresses are allowed unless it says so."""
    return Source(
        page_url=PageUrl(f"{url}/{{id}}"), extract=[Rule(regex=Pattern("x"))], **({"private_network": True} | keys)
    )
