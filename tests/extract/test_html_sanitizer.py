"""The sanitizer: the tree of ordinary pages is unchanged, and hostile pages take no longer than ordinary ones."""

import gc
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser, LexborNode

from app.config.css_selector import CssSelector
from app.config.rules import JmesPath, Regex, Rule
from app.extract.engine import extract
from app.extract.html_sanitizer import MAX_DEPTH, MAX_ELEMENTS, sanitize


def outline(html: str) -> list[tuple[str | None, str | None, dict[str, str | None]]]:
    """Return each element of a page: its name, its parent's name and its attributes."""
    return [
        (element.tag, element.parent.tag if element.parent is not None else None, dict(element.attributes))
        for element in LexborHTMLParser(html).css("*")
    ]


@pytest.mark.parametrize(
    "html",
    [
        "<html lang=ru><head><meta charset=utf-8><title>x</title></head>\n<body class=a><p>x</body></html>",
        "<p>one<p>two<div>three</div><p>four<hr><ul><li><p>five<li>six</ul>",
        "<ul><li>one<ul><li>inner</ul><li>two</ul>",
        "<dl><dt>a<dd>b<dt>c<dd>d</dl>",
        "<table><tr><td>a<td>b<tr><th>c</table>",
        "<table><thead><tr><th>a</thead><tbody><tr><td><table><tr><td>b</table></table>",
        "<table><tr><td></div></b>x</td><td>y</td></tr></table>",
        "<div><span><div></span>x</div><img></div>",
        "<select><option>a<option selected>b</select><img>",
        "<a href=/x/><img src=a.jpg></a><br/><hr /><img src='>' alt=\"<b>\">",
        "<div a='1'b=2 c = \"3\" d e=></div>",
        "<svg viewBox='0 0 1 1'><path d='M0'/><path d='M1'/><g><rect/></g></svg><p>x",
        "<iframe><img></iframe><textarea><img></textarea><img>",
        "<script>if (a<b) '<img>'</script><style>a>b{}</style><img>",
        "<!-- <img> --><!--><b>x</b><!---><i>y</i><!DOCTYPE x><?php <u> ?></ x><s></s>",
        "a < b <3 </> & &lt;img&gt; <b>x</b>",
        "<DIV CLASS=x><IMG SRC=a></DIV>",
        "<button><div></button></div><img>",
        "<template><img></template><object><param></object><video><source></video>",
        "<p/><p>x</p><my-element data-x=1><img></my-element>",
    ],
)
def test_an_ordinary_page_keeps_its_tree(html: str) -> None:
    """The tree is that of the original page, even if end tags are missing."""
    assert outline(sanitize(html)) == outline(f"<!doctype html>{html}")


def test_the_content_of_noscript_is_kept() -> None:
    assert [img.attributes for img in LexborHTMLParser(sanitize("<p><noscript><img src=a></noscript>")).css("p > img")]


def test_text_is_dropped_and_scripts_are_kept() -> None:
    assert sanitize("<p>a < b<!-- no --><script>1 <2</script>").endswith(r"><p><script>1 \u003c2</script>")


def depth(element: LexborNode | None) -> int:
    """Return the number of nodes from here to the root."""
    count = 0
    while element is not None:
        element, count = element.parent, count + 1
    return count


def test_nesting_is_limited() -> None:
    (img,) = LexborHTMLParser(sanitize("<div>" * 1000 + "<img>")).css("img")
    assert depth(img) <= MAX_DEPTH + 5


def test_the_number_of_elements_is_limited() -> None:
    tree = LexborHTMLParser(sanitize("<br>" * (MAX_ELEMENTS + 5)))
    assert len(tree.css("br")) == MAX_ELEMENTS


TAGS = ["a", "b", "p", "div", "table", "td", "svg", "desc", "select", "template", "button", "script", "title", "form"]
PIECES = [f"<{tag} id={{}}>" for tag in TAGS] + [f"</{tag}>" for tag in TAGS]
PIECES += [
    "<input>",
    "<svg/>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    '"',
    "<a b='",
    "<",
    "&lt;",
    "<script><!--<script></script>",
    "x",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8))
def test_the_tree_of_tag_soup_is_small(pieces: list[str]) -> None:
    """For any sequence of tags repeated 300 times, the tree has few elements per tag, and limited depth."""
    soup = "".join("".join(pieces).replace("{}", str(number)) for number in range(300))
    elements = LexborHTMLParser(sanitize(soup)).css("*")
    assert len(elements) <= 10 * (soup.count("<") + 1)
    assert max(depth(element) for element in elements[-50:]) <= 4 * MAX_DEPTH


SIZE = 200_000
RULES = [
    Rule(regex=Regex("<img[^>]*class=.nowhere[^>]*src=([^>]*)")),
    Rule(css=CssSelector(".nowhere > img")),
    Rule(css=CssSelector(".nowhere img")),
    Rule(css=CssSelector("div.nowhere div div > img + img")),
    Rule(css=CssSelector("p:nth-child(2) img:not(.nowhere)")),
    Rule(meta="og:image"),
    Rule(jsonld="image"),
    Rule(microdata="image"),
    Rule(json=JmesPath("images[?front].image")),
]


def repeat(text: str) -> str:
    """Repeat ``text`` up to a length of ``SIZE``, with ``#`` replaced by a new number each time."""
    return "".join(text.replace("#", str(number)) for number in range(SIZE // len(text)))


JSON_LD = '<script type="application/ld+json">'
ORDINARY_PAGE = repeat("<p class=a><img src=data:#,></p><br>")


def cpu_seconds(page: str) -> float:
    """Return the CPU time that the rules take for a page, without that of the garbage collector."""
    body = page.encode()[:SIZE]
    gc.disable()
    try:
        started_at = time.thread_time()
        extract(body, rules=RULES, page_url="http://shop.example/")
        return time.thread_time() - started_at
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("<div>" * 10_000 + "x" * 150_000, id="10,000 nested elements"),
        pytest.param(repeat("<div>"), id="nothing but nested elements"),
        pytest.param(repeat("<ul><li>"), id="nested lists"),
        pytest.param(repeat("<p><b id=#>"), id="formatting opened again in each paragraph"),
        pytest.param(repeat("<svg><script><p><b id=#></script></svg>"), id="markup in a script in an image"),
        pytest.param(repeat("<svg><input>"), id="void elements that are not void in an image"),
        pytest.param("<img " + repeat("a#=1 ") + ">", id="nothing but attributes"),
        pytest.param(repeat("<img a#=1 b#=1 c#=1>"), id="many attributes"),
        pytest.param(repeat("<html a#=1>"), id="attributes of the root"),
        pytest.param(repeat("<img "), id="tags that do not end"),
        pytest.param(repeat("<img a='<img b=\""), id="quotes that do not end"),
        pytest.param(repeat("<!--"), id="comments that do not end"),
        pytest.param(repeat("<script>"), id="scripts that do not end"),
        pytest.param(repeat("</"), id="end tags without a name"),
        pytest.param("<section><button>" + "<i>" * 60 + repeat("</section>"), id="end tags without a match"),
        pytest.param(repeat("<tr id=#></tr>-->"), id="text between tags that do not count"),
        pytest.param("<" * SIZE, id="nothing but <"),
        pytest.param('<script type="application/ld+json">' + "[" * SIZE, id="nested JSON-LD"),
        pytest.param(repeat('<script type="application/ld+json">{"image":#}</script>'), id="many blocks of JSON-LD"),
        pytest.param(JSON_LD + '{"a":"b",//' + repeat("\n//"), id="comments in JSON-LD"),
        pytest.param(JSON_LD + "{" + repeat("/*"), id="a comment in JSON-LD that does not end"),
        pytest.param(JSON_LD + "{" + repeat("<!-- "), id="HTML comments in JSON-LD that do not end"),
        pytest.param(JSON_LD + '{"a":"' + repeat("\\'"), id="escape sequences that JSON does not have"),
        pytest.param(JSON_LD + '{"a":"' + repeat("\\ud800"), id="lone surrogates"),
        pytest.param(JSON_LD + '{"a":"' + repeat("\\\\"), id="nothing but backslashes"),
        pytest.param(JSON_LD + "[" + " " * SIZE, id="white space before a comma that does not come"),
        pytest.param(JSON_LD + "[" + repeat(";"), id="semicolons"),
        pytest.param(repeat(f"{JSON_LD}{{}};;,</script>"), id="many invalid blocks of JSON-LD"),
        pytest.param(JSON_LD + "[" + '{"mainEntity":{"@id":"x"}},' * 6000 + '{"@id":"x"}]', id="main entities"),
        pytest.param(
            JSON_LD + "[" + '{"image":{"@id":"x"},"@id":"x"},' * 6000 + "1]", id="references without an image"
        ),
        pytest.param(JSON_LD + '{"mainEntity":' * 900 + "1" + "}" * 900, id="nested main entities"),
        pytest.param(repeat("<p itemscope itemprop=image>"), id="nested items"),
        pytest.param("<div itemscope>" * 60 + repeat("<i itemprop=image content=data:,></i>"), id="properties"),
        pytest.param(f"<p itemscope><p itemprop='{'a ' * 30_000}'>" * 3, id="a property of many names"),
        pytest.param(repeat("<p itemscope itemref='x y'>") + "<p id=x>", id="references to the same element"),
        pytest.param("[" * SIZE, id="nested JSON"),
        pytest.param('{"a":' * 100_000, id="nested objects of JSON"),
        pytest.param("<img srcset='" + "," * SIZE, id="commas"),
        pytest.param(f"<div class='{'x ' * 70_000}'>" + "<p>" * 15_000, id="a parent of many classes"),
        pytest.param(f"<base href='{'/x' * 80_000}'>" + "<img src=a>" * 500, id="a base that is no URL"),
        pytest.param("<div class=nowhere>" * 60 + repeat("<div></div>"), id="ancestors that match"),
        pytest.param("<i></i>" * 20_000, id="siblings"),
        pytest.param("[" + "[]," * 60_000 + "1]", id="many values of JSON"),
    ],
)
def test_a_hostile_page_takes_no_longer_than_an_ordinary_one(page: str) -> None:
    """Each page is compared once with an ordinary page of the same size. CPU time hardly depends on the load.

    None takes more than twice as long. Without the sanitizer, some take hundreds of times as long, or all memory.
    """
    assert cpu_seconds(page) < 5 * cpu_seconds(ORDINARY_PAGE)
