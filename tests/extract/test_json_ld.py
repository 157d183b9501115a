"""JSON-LD: the values of a property, the order of the nodes, the repair of scripts, and limits."""

import json

import pytest

from app.config.rules import Rule, TypeName
from app.extract.json_text import parse_script
from tests.extract.extraction import JSONLD, absolute, extract_from, json_ld_page, url_of


@pytest.mark.parametrize(
    ("blocks", "url"),
    [
        (['{"image": "/a.jpg"}'], "/a.jpg"),
        (['{"image": ["/a.jpg", "/b.jpg"]}'], "/a.jpg"),
        (['{"image": {"@type": "ImageObject", "url": "/a.jpg"}}'], "/a.jpg"),
        (['{"image": [{"contentUrl": "/a.jpg"}]}'], "/a.jpg"),
        (['[{"name": "x"}, [{"image": "/a.jpg"}]]'], "/a.jpg"),
        (['{"@graph": [{"@type": "WebSite"}, {"@type": "Book", "image": "/a.jpg"}]}'], "/a.jpg"),
        (['{"@graph": [{"image": {"@id": "#i"}}, {"@id": "#i", "url": "/a.jpg"}]}'], "/a.jpg"),
        (['{"@graph": [{"image": {"@type": "ImageObject", "@id": "#i"}}, {"@id": "#i", "url": "/a.jpg"}]}'], "/a.jpg"),
        (['{"image": {"@id": "#i"}}', '[{"@id": "#i"}, {"@id": "#i", "contentUrl": "/a.jpg"}]'], "/a.jpg"),
        (['{"@type": "schema:Book", "schema:image": {"schema:url": "/a.jpg"}}'], "/a.jpg"),
        (['{"http://schema.org/image": "/a.jpg"}'], "/a.jpg"),
        (['{"image": {"@id": "#nowhere"}}'], None),
        (['{"image": {"@id": 5}}'], None),
        (['{"author": {"image": "/author.jpg"}}'], None),
        (["{broken", '{"image": "/a.jpg"}'], "/a.jpg"),
        (['{"name": "x"}', '{"image": "/a.jpg"}'], "/a.jpg"),
        (['{"text": "two\nlines\tlong", "image": "/a.jpg"}'], "/a.jpg"),
        (['{"text": "<!-- <script> <b>", "image": "/a.jpg"}'], "/a.jpg"),
        (['{"image": "/a?x=1&amp;y=2"}'], "/a?x=1&y=2"),
        (['{"image": "https:\\/\\/cdn.example\\/a.jpg"}'], "https://cdn.example/a.jpg"),
        (['{"image": [null, 5, "data:,", "/a.jpg"]}'], "/a.jpg"),
        (['{"image": {"url": ["/a.jpg"]}}'], "/a.jpg"),
        (["null", "5", '"text"', "[]", "{}"], None),
    ],
)
def test_jsonld(blocks: list[str], url: str | None) -> None:
    assert url_of(json_ld_page(*blocks), JSONLD) == absolute(url)


def node(type_: object, name: str, **properties: object) -> str:
    """Return a node with this type and the image ``/NAME.jpg``."""
    return json.dumps({"@type": type_, "image": f"/{name}.jpg", **properties})


def graph(*nodes: str) -> str:
    return json_ld_page(f'{{"@context": "https://schema.org", "@graph": [{", ".join(nodes)}]}}')


PERSON, PAGE_NODE = node("Person", "author"), node("WebPage", "page")
THING_TYPES = [
    "Product", "ProductModel", "Vehicle", "Book", "MusicAlbum", "MusicRecording", "Movie", "TVSeries", "VideoGame",
    "CreativeWork", "Recipe", "Article", "NewsArticle", "BlogPosting", "PodcastEpisode", "Thing", None,
]  # fmt: skip
IRRELEVANT_TYPES = [
    "Person", "Organization", "Corporation", "NewsMediaOrganization", "LocalBusiness", "Store", "BookStore",
    "MusicGroup", "WebSite", "WPHeader", "WPFooter", "SiteNavigationElement", "BreadcrumbList", "SearchAction",
    "Rating", "AggregateRating", ["Person", "Organization"], ["Organization", "Place"], ["Organization", "Brand"],
    ["Thing", "CreativeWork", "WebSite"],
]  # fmt: skip


@pytest.mark.parametrize("type_", THING_TYPES)
def test_the_thing_that_the_page_is_about_comes_first(type_: str | None) -> None:
    others = [PERSON, node("Organization", "logo"), node("WebSite", "site"), PAGE_NODE, node("Event", "event")]
    assert url_of(graph(*others, node(type_, "a")), JSONLD) == "https://shop.example/a.jpg"


@pytest.mark.parametrize("type_", ["WebPage", "ItemPage", "CollectionPage", "FAQPage", ["WebPage", "FAQPage"]])
def test_a_web_page_comes_after_things(type_: object) -> None:
    assert url_of(graph(PERSON, node(type_, "page")), JSONLD) == "https://shop.example/page.jpg"
    assert url_of(graph(node(type_, "page"), node("Event", "event")), JSONLD) == "https://shop.example/event.jpg"


@pytest.mark.parametrize("type_", IRRELEVANT_TYPES, ids=str)
def test_portraits_and_logos_are_never_covers(type_: object) -> None:
    assert url_of(graph(node(type_, "logo"), PAGE_NODE), JSONLD) == "https://shop.example/page.jpg"
    assert extract_from(graph(node(type_, "logo")), JSONLD).misses == ("jsonld image: no match",)


@pytest.mark.parametrize(
    "type_",
    [
        "http://schema.org/Person",
        "https://schema.org/Person",
        "https://schema.org/Person/",
        "http://www.schema.org/Person",
        "https://example.org/terms#Person",
        "schema:Person",
        "s:Person",
        "person",
        " Person ",
        ["Person"],
        ["https://schema.org/Person", "https://schema.org/Thing"],
        [5, None, "Person"],
    ],
    ids=str,
)
def test_a_type_may_have_a_vocabulary(type_: object) -> None:
    """It may be a full URL or have a prefix, and there may be several types."""
    assert url_of(graph(node(type_, "author")), JSONLD) == ""
    assert url_of(graph(node(type_, "author")), Rule(jsonld="image", type=TypeName("Person"))) != ""


@pytest.mark.parametrize(
    ("type_", "url"),
    [
        (["Article", "BlogPosting"], "/a.jpg"),
        (["WebPage", "Product"], "/a.jpg"),
        (["WebPage", "BreadcrumbList", "Article"], "/a.jpg"),
        (["WebPage", "CreativeWork"], "/other.jpg"),
    ],
    ids=str,
)
def test_of_several_types_the_one_that_says_most_counts(type_: list[str], url: str) -> None:
    assert url_of(graph(node("Event", "other"), node(type_, "a")), JSONLD) == absolute(url)


@pytest.mark.parametrize(
    ("nodes", "url"),
    [
        ([node("Book", "other"), node("WebPage", "page", mainEntity={"@type": "Book", "image": "/a.jpg"})], "/a.jpg"),
        ([node("WebPage", "page", mainEntity={"@type": "Event", "image": {"url": "/a.jpg"}})], "/a.jpg"),
        ([node("WebPage", "page", mainEntity=[{"@type": "Book"}, {"image": "/a.jpg"}])], "/a.jpg"),
        ([node("WebPage", "page", mainEntity={"@type": "Book"})], "/page.jpg"),
        ([node("WebPage", "page", mainEntity={"@type": "Person", "image": "/no.jpg"})], "/page.jpg"),
        ([node("WebPage", "page", mainEntity="https://www.wikidata.org/entity/Q42")], "/page.jpg"),
        (
            [node("Book", "x"), node("WebPage", "page", mainEntity={"@id": "#b"}), node("Book", "a", **{"@id": "#b"})],
            "/a.jpg",
        ),
        (
            [node("WebPage", "page", **{"@id": "#p", "mainEntity": {"@id": "#p"}}), node("Book", "a", **{"@id": "#p"})],
            "/a.jpg",
        ),
        ([node("WebPage", "page", mainEntity={"@id": "#nowhere"})], "/page.jpg"),
        ([node("WebPage", "page", **{"@id": "#p", "mainEntity": {"@id": "#p"}})], "/page.jpg"),
    ],
)
def test_the_main_entity_of_the_page_comes_first(nodes: list[str], url: str) -> None:
    """It may be inside the page's node, or elsewhere with an ``@id``."""
    assert url_of(graph(*nodes), JSONLD) == absolute(url)


@pytest.mark.parametrize(
    ("block", "name", "url"),
    [
        ('{"@type": "WebPage", "primaryImageOfPage": {"url": "/a.jpg"}}', "image", "/a.jpg"),
        ('{"@type": "ItemPage", "primaryImageOfPage": "/a.jpg", "image": "/b.jpg"}', "image", "/b.jpg"),
        ('{"@type": "WebPage", "primaryImageOfPage": {"@id": "#nowhere"}}', "image", None),
        ('{"@type": "WebPage", "primaryImageOfPage": "/a.jpg"}', "thumbnailUrl", None),
        ('{"@type": "Book", "primaryImageOfPage": "/a.jpg"}', "image", None),
        (
            '[{"@type": "WebPage", "primaryImageOfPage": {"@id": "#i"}}, {"@id": "#i", "url": "/a.jpg"}]',
            "image",
            "/a.jpg",
        ),
    ],
)
def test_the_primary_image_of_a_page(block: str, name: str, url: str | None) -> None:
    assert url_of(json_ld_page(block), Rule(jsonld=name)) == absolute(url)


@pytest.mark.parametrize(
    ("type_", "url"),
    [
        ("Product", "/product.jpg"),
        ("schema:Product", "/product.jpg"),
        ("https://schema.org/Product", "/product.jpg"),
        ("product", "/product.jpg"),
        ("Organization", "/logo.jpg"),
        ("WebPage", "/page.jpg"),
        ("CreativeWork", None),
        ("Pro", None),
    ],
)
def test_a_rule_with_a_type_reads_only_nodes_of_this_type(type_: str, url: str | None) -> None:
    """All nodes of exactly this type are read, also those of which the image is usually no cover."""
    nodes = [node("Book", "book"), node("Organization", "logo"), node(["Product", "Thing"], "product"), PAGE_NODE]
    assert url_of(graph(*nodes), Rule(jsonld="image", type=TypeName(type_))) == absolute(url)


def test_a_rule_with_a_type_reads_the_main_entity_first() -> None:
    page = node("WebPage", "page", mainEntity={"@type": "Product", "image": "/a.jpg"})
    rule = Rule(jsonld="image", type=TypeName("Product"))
    assert url_of(graph(node("Product", "related"), page), rule) == "https://shop.example/a.jpg"


BOOK = '{"@type": "Book", "name": "a; b, // c <!-- d --> /* e */ ]]>", "image": "/a.jpg"}'


@pytest.mark.parametrize(
    "script",
    [
        f"//<![CDATA[\n{BOOK}\n//]]>",
        f"// <![CDATA[ {BOOK} // ]]>",
        f"/*<![CDATA[*/{BOOK}/*]]>*/",
        f"/* <![CDATA[ */\n{BOOK}\n/* ]]> */",
        f"<![CDATA[\n{BOOK}\n]]>",
        f"<![CDATA[[{BOOK}]]]>",
        f"<!--{BOOK}-->",
        f"<!--\n{BOOK}\n// -->",
        f"<!-- the book's data -->{BOOK}<!-- - -- -->",
        f"<!--//--><![CDATA[//><!--\n{BOOK}\n//--><!]]>",
        f"{BOOK};",
        f"{BOOK} ; ;",
        f"{BOOK},",
        f"[{BOOK},]",
        f"[,{BOOK} , , null]",
        '{"@type": "Book", "image": "/a.jpg" , }',
        '{, "@type": "Book",, "image": ["/a.jpg",],}',
        f"// The book\n{BOOK}",
        '{"@type": "Book", // the type\n /* the\n image */ "image": "/a.jpg"\n// "image": "/b.jpg"\n}',
        r'{"name": "Half an emoji \ud83d", "image": "/a.jpg"}',
        r'{"name": "\ude00 \ud83d\ude00 \\ud83d \ud83d\ud83d\ude00", "image": "/a.jpg"}',
        r'{"name": "Half an emoji \ud83d", "image": "/a.jpg",};',
        r'{"name": "It\'s \\ \"here\" \x \u00e4", "image": "/a.jpg"}',
        r'//<![CDATA[{"name": "\ud83d It\'s", "image": ["/a.jpg",],};//]]>',
    ],
)
def test_a_script_around_json_is_read(script: str) -> None:
    """Pages wrap JSON-LD like other scripts, and often nobody notices that it is not valid."""
    assert url_of(json_ld_page(script), JSONLD) == "https://shop.example/a.jpg"
    assert url_of(json_ld_page("{broken", script), JSONLD) == "https://shop.example/a.jpg"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'{"a": "\ud83d"}', {"a": "\ufffd"}),
        (r'{"a": "\ud83d\ude00 \uDE00\uD83D"}', {"a": "\U0001f600 \ufffd\ufffd"}),
        (r'{"a": "\\ud83d \ud83d"}', {"a": "\\ud83d \ufffd"}),
        (r'{"a": "it\'s", "b": "\\\\\x",}', {"a": "it's", "b": "\\\\x"}),
        ('["a, b,]", "; //", ["x",],]', ["a, b,]", "; //", ["x"]]),
        ('{"url": "https://shop.example/a.jpg" // comment\n}', {"url": "https://shop.example/a.jpg"}),
        ('["a" /* "b", */ , "c"];', ["a", "c"]),
    ],
)
def test_a_repair_changes_nothing_else(text: str, value: object) -> None:
    assert parse_script(text) == (value, "")


@pytest.mark.parametrize(
    "text",
    ["", ";", "<!-- -->", "{", '{"a": "b}', '["a" "b"]', "{a: 1}", "['a']", '{"a": "b"} {"a": "b"}', '"\\', "1 2", ","],
)
def test_a_script_of_which_the_meaning_is_not_certain_is_invalid(text: str) -> None:
    assert parse_script(text) == (None, "not valid JSON")


def test_json_ld_blocks_with_too_many_values_are_ignored() -> None:
    """The limit applies to all blocks of a page together. Blocks before the limit are read."""
    flood = f'{{"image": [{"1," * 60_000}1]}}'
    assert url_of(json_ld_page('{"image": "/a.jpg"}', flood, flood), JSONLD) == "https://shop.example/a.jpg"
    assert extract_from(json_ld_page(flood * 2), JSONLD).misses == (
        "jsonld image: its JSON-LD: JSON with too many values",
    )


def test_invalid_json_ld_is_a_miss() -> None:
    assert extract_from(json_ld_page("{broken"), JSONLD).misses == ("jsonld image: its JSON-LD: not valid JSON",)


def test_json_ld_with_another_property_and_upper_case_markup() -> None:
    page = '<SCRIPT TYPE="Application/LD+JSON; charset=utf-8">{"thumbnailUrl": "/t.jpg"}</SCRIPT>'
    assert url_of(page, Rule(jsonld="thumbnailUrl")) == "https://shop.example/t.jpg"
