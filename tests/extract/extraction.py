"""Helpers that apply rules to a page."""

from typing import Any

from app.config.rules import Rule
from app.extract.engine import Extraction, extract

PAGE = "https://shop.example/item/1"
JSONLD = Rule(jsonld="image")


def url_of(body: bytes | str, *rules: Rule, page_url: str = PAGE, **options: Any) -> str:
    """Return the URL that the rules find, or ""."""
    return extract_from(body, *rules, page_url=page_url, **options).url


def extract_from(body: bytes | str, *rules: Rule, page_url: str = PAGE, **options: Any) -> Extraction:
    """Return what the rules extract from a page."""
    page = body.encode() if isinstance(body, str) else body
    return extract(page, rules=rules, page_url=page_url, **options)


def json_ld_page(*blocks: str) -> str:
    """Return a page with these JSON-LD blocks."""
    scripts = (f'<script type="application/ld+json">{block}</script>' for block in blocks)
    return f"<html><head><title>A book</title>{''.join(scripts)}</head><body><p>text</body></html>"


def absolute(url: str | None) -> str:
    """Return the absolute URL for a path on the page's host, or "" for None."""
    return "" if url is None else url if "://" in url else f"https://shop.example{url}"
