"""``<meta>`` elements."""

import pytest

from app.config.rules import Rule
from tests.extract.extraction import absolute, url_of


@pytest.mark.parametrize(
    ("name", "body", "url"),
    [
        ("og:image", "<meta property='og:image' content='/a.jpg'>", "/a.jpg"),
        ("OG:Image", "<META NAME='Og:IMAGE' CONTENT='/a.jpg'/>", "/a.jpg"),
        (
            "og:image",
            "<meta property=og:image content=/a><meta property=og:image:secure_url content=/c>",
            "/c",
        ),
        ("og:image", "<meta property=og:image:secure_url content=''><meta property=og:image content=/a>", "/a"),
        ("og:image", "<meta property=og:image content='data:,'><meta property=og:image content=/b>", "/b"),
        ("og:image", "<meta property=og:image content=/a><meta property=og:image:url content=/b>", "/b"),
        ("og:image:url", "<meta property=og:image content=/a>", None),
        ("twitter:image", "<meta name=twitter:image content=/a><meta property=twitter:image:src content=/b>", "/b"),
        ("image", "<meta itemprop=image content=/a.jpg>", "/a.jpg"),
        ("og:image", "<meta property=og:image content='/a?x=1&amp;y=2'>", "/a?x=1&y=2"),
        ("og:image", "<meta property=og:image><meta content=/a.jpg>", None),
        ("og:image", "<p><meta property=og:image content=//cdn.example/a.jpg>", "https://cdn.example/a.jpg"),
        ("og:image", "<base href=/b/><meta property=og:image content=a.jpg>", "/b/a.jpg"),
    ],
)
def test_meta(name: str, body: str, url: str | None) -> None:
    assert url_of(body, Rule(meta=name)) == absolute(url)
