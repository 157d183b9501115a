"""Microdata: the values of a property, and the items that properties belong to."""

import pytest

from app.config.rules import Rule, TypeName
from tests.extract.extraction import absolute, extract_from, url_of

IMAGE = Rule(microdata="image")
PRODUCT = Rule(microdata="image", type=TypeName("Product"))


def item(type_: str, content: str, attributes: str = "") -> str:
    return f'<div itemscope itemtype="https://schema.org/{type_}" {attributes}>{content}</div>'


@pytest.mark.parametrize(
    ("content", "url"),
    [
        ("<meta itemprop=image content=/a.jpg>", "/a.jpg"),
        ("<link itemprop=image href=/a.jpg>", "/a.jpg"),
        ("<img itemprop=image src=/a.jpg>", "/a.jpg"),
        ("<a itemprop=image href=/a.jpg><img src=/small.jpg></a>", "/a.jpg"),
        ("<object itemprop=image data=/a.jpg></object>", "/a.jpg"),
        ("<picture><source itemprop=image srcset='/s.jpg 1x, /a.jpg 2x'><img src=/b.jpg></picture>", "/a.jpg"),
        ("<video><source itemprop=image src=/a.jpg></video>", "/a.jpg"),
        ("<embed itemprop=image src=/a.jpg>", "/a.jpg"),
        ("<area itemprop=image href=/a.jpg>", "/a.jpg"),
        ("<img itemprop=image src='data:,' srcset='/s.jpg 1x, /a.jpg 2x'>", "/a.jpg"),
        ("<img itemprop=image src=/a.jpg srcset='/b.jpg 2x' content=/c.jpg>", "/a.jpg"),
        ("<span itemprop=image content=/a.jpg></span>", "/a.jpg"),
        ("<img itemprop='name image' src=/a.jpg>", "/a.jpg"),
        ("<img ITEMPROP='\n image\t' SRC='/a.jpg?x=1&amp;y=2'>", "/a.jpg?x=1&y=2"),
        ("<img itemprop=image src='/a.jpg?x=&amp;amp;'>", "/a.jpg?x=&amp;"),
        ("<img itemprop=https://schema.org/image src=/a.jpg>", "/a.jpg"),
        ("<p><b><i><img itemprop=image src=/a.jpg></i></b></p>", "/a.jpg"),
        ("<img itemprop=image><img itemprop=image src='data:,'><img itemprop=image src=/a.jpg>", "/a.jpg"),
        ("<span itemprop=image>/a.jpg</span>", None),
        ("<img itemprop=image href=/a.jpg><a itemprop=image src=/a.jpg></a>", None),
        ("<img itemprop=Image src=/a.jpg><img itemprop=images src=/a.jpg><img class=image src=/a.jpg>", None),
    ],
)
def test_microdata(content: str, url: str | None) -> None:
    """The value of a property is in the attribute that the element has for URLs."""
    for rule in (IMAGE, PRODUCT):
        assert url_of(item("Product", content), rule) == absolute(url)


@pytest.mark.parametrize(
    ("content", "url"),
    [
        ("<meta itemprop=url content=/a.jpg>", "/a.jpg"),
        ("<img itemprop=contentUrl src=/a.jpg>", "/a.jpg"),
        ("<img itemprop=contentUrl src=/b.jpg><link itemprop=url href=/a.jpg>", "/a.jpg"),
        ("<div itemprop=author itemscope><img itemprop=url src=/no.jpg></div>", None),
        ("<img src=/a.jpg>", None),
    ],
)
def test_a_value_may_be_an_image_object(content: str, url: str | None) -> None:
    image = item("ImageObject", content, "itemprop=image")
    assert url_of(item("Product", image), PRODUCT) == absolute(url)


AUTHOR = item("Person", "<img itemprop=image src=/author.jpg>", "itemprop=author")
COVER = "<img itemprop=image src=/a.jpg>"


@pytest.mark.parametrize(
    "page",
    [
        item("Product", AUTHOR + COVER),
        item("Product", item("Offer", item("Product", AUTHOR, "itemprop=itemOffered"), "itemprop=offers") + COVER),
        item("Product", "<div itemprop=review itemscope><img itemprop=image src=/no.jpg></div>" + COVER),
        item("Person", "<img itemprop=image src=/author.jpg>") + item("Product", COVER),
        item("Organization", "<img itemprop=image src=/logo.jpg>" + item("Product", COVER)),
        item("WebPage", "<img itemprop=image src=/page.jpg>") + item("Product", COVER),
        item("WebPage", "<img itemprop=image src=/page.jpg>" + item("Product", COVER)),
        item("WebPage", "<img itemprop=image src=/page.jpg>" + item("Product", COVER, "itemprop=mainEntity")),
        item("Product", "<img itemprop=image src=/x.jpg>")
        + item("ItemPage", item("Product", COVER, "itemprop=mainEntity")),
        "<meta itemprop=image content=/page.jpg>" + item("Product", COVER),
        item("WebPage", "<table><tr><td>" + item("Product", "<ul><li><p>" + COVER)),
    ],
)
def test_a_property_belongs_to_the_nearest_item(page: str) -> None:
    """The items are in the order of their relevance, as in JSON-LD."""
    for rule in (IMAGE, PRODUCT):
        assert url_of(page, rule) == "https://shop.example/a.jpg"


@pytest.mark.parametrize(
    ("page", "image", "product"),
    [
        (item("Product", AUTHOR), "", ""),
        (item("Product", "") + COVER, "/a.jpg", ""),
        (item("Event", COVER), "/a.jpg", ""),
        (item("Book", item("Product", COVER, "itemprop=isRelatedTo")), "", ""),
        (f"<div itemscope>{COVER}</div>", "/a.jpg", ""),
        (f"<div itemscope itemtype='https://x.example/Book schema:Product'>{COVER}</div>", "/a.jpg", "/a.jpg"),
        (item("WebPage", "<link itemprop=primaryImageOfPage href=/a.jpg>"), "/a.jpg", ""),
        (item("ProductModel", COVER), "/a.jpg", ""),
        (f"<div itemtype=https://schema.org/Product>{COVER}</div>", "/a.jpg", ""),
        ("<div itemprop=image itemscope><link itemprop=url href=/a.jpg></div>", "/a.jpg", ""),
    ],
)
def test_items_without_a_relevant_type(page: str, image: str, product: str) -> None:
    """Properties outside all items are those of the page."""
    assert url_of(page, IMAGE) == absolute(image or None)
    assert url_of(page, PRODUCT) == absolute(product or None)


@pytest.mark.parametrize(
    ("page", "url"),
    [
        (item("Product", "", "itemref='x y'") + "<p id=y><img itemprop=image src=/a.jpg></p>", "/a.jpg"),
        (item("Product", "", "itemref=x") + "<img id=x itemprop=image src=/a.jpg>", "/a.jpg"),
        (item("Product", "", "itemref=x") + item("Person", "<p id=x><img itemprop=image src=/a.jpg>"), "/a.jpg"),
        (item("Product", "", "itemref=x") + f"<p id=x>{item('Person', COVER)}</p>", None),
        (item("Product", "", "itemref=x") + f"<p id=z></p>{COVER}", None),
        (f"<div id=x>{item('Product', '', 'itemref=x')}{COVER}</div>", "/a.jpg"),
        (item("Product", "", "itemprop=image itemref=x id=x"), None),
    ],
)
def test_an_item_may_refer_to_properties_elsewhere(page: str, url: str | None) -> None:
    assert url_of(page, PRODUCT) == absolute(url)


def test_microdata_with_another_property_and_no_match() -> None:
    page = item("Book", "<link itemprop=thumbnailUrl href=/t.jpg>")
    assert url_of(page, Rule(microdata="thumbnailUrl")) == "https://shop.example/t.jpg"
    assert extract_from(page, IMAGE, PRODUCT).misses == (
        "microdata image: no match",
        "microdata image of Product: no match",
    )
