"""A source at a scripted origin."""

from typing import Any

from app.config.rules import Regex, Rule
from app.config.source import Source
from app.config.url_templates import PageUrlTemplate


def source_at(url: str, **keys: Any) -> Source:
    """Return a source whose pages are at the root of ``url``, where private addresses are allowed unless it says so."""
    return Source(
        page_url=PageUrlTemplate(f"{url}/{{id}}"),
        extract=[Rule(regex=Regex("x"))],
        **({"private_network": True} | keys),
    )
