"""A source whose pages are on a scripted origin."""

from typing import Any

from app.config.rules import Regex, Rule
from app.config.source import Source
from app.config.url_templates import PageUrlTemplate


def source_at(url: str, **keys: Any) -> Source:
    """Return a source with its pages at the root of ``url``; by default it allows private addresses."""
    return Source(
        page_url=PageUrlTemplate(f"{url}/{{id}}"),
        extract=[Rule(regex=Regex("x"))],
        **({"private_network": True} | keys),
    )
