"""The extraction engine: what each kind of rule finds on ordinary, unusual and hostile pages."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.config.css_selector import CssSelector
from app.config.rules import JmesPath, Regex, Rule, TypeName
from app.config.url_templates import ImageUrlTemplate
from app.extract.engine import Extraction, extract
from app.extract.html_sanitizer import sanitize
from app.extract.json_text import parse_json
from tests.extract.extraction import JSONLD, PAGE, absolute, extract_from, json_ld_page, url_of

OZON = Rule(regex=Regex(r"(/multimedia/audio_cd_covers/(?:\d+)\.jpg)"))
OG_IMAGE = Rule(meta="og:image")
IMG = Rule(css=CssSelector("img"))
CAA = Rule(json=JmesPath("images[?front].image"))

OZON_PAGE = """<html><head><meta http-equiv="Content-Type" content="text/html; charset=windows-1251">
<title>Выход группы</title></head><body><table><tr><td>
<img src="/multimedia/audio_cd_covers/1000123456.jpg" width=200 alt="Обложка">"""
OZON_COVER = "http://www.ozon.ru/multimedia/audio_cd_covers/1000123456.jpg"


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251", "koi8-r"])
def test_the_reference_rule_finds_a_path(encoding: str) -> None:
    page = "http://www.ozon.ru/context/detail/id/5"
    assert url_of(OZON_PAGE.encode(encoding), OZON, page_url=page, charset=encoding) == OZON_COVER


def test_an_extraction_has_the_rule_and_the_misses_before_it() -> None:
    found = extract_from(
        '{"images":[]}<img src="data:image/gif;base64,R0lG"><p>/a.jpg',
        CAA,
        OG_IMAGE,
        IMG,
        Rule(regex=Regex("/a.jpg")),
    )
    assert found == Extraction(
        url="https://shop.example/a.jpg",
        rule=3,
        misses=(
            "json images[?front].image: not valid JSON",
            "meta og:image: no match",
            "css img: its scheme is data, not http or https",
        ),
    )


def test_an_extraction_without_a_cover() -> None:
    assert extract_from("", OG_IMAGE) == Extraction(url="", rule=-1, misses=("meta og:image: no match",))


@pytest.mark.parametrize(
    ("pattern", "body", "url"),
    [
        ("cover: (.+)", "cover: /a.jpg", "/a.jpg"),
        ("/[a-z]+.jpg", "x /abc.jpg", "/abc.jpg"),
        ("(?:big|(/small.jpg))", "big", "/item/big"),  # a group that did not participate
        ("(/a.*)", "/a?x=1&amp;y=2", "/a?x=1&y=2"),
        ("(/a.*)", "/a?x=1&copy=2", "/a?x=1&copy=2"),
        ("(/a.*)", "/a?x=1&#38;y=2&#x26;z", "/a?x=1&y=2&z"),
        ('"img":"(.*?)"', r'{"img":"https:\/\/cdn.example\/a.jpg"}', "https://cdn.example/a.jpg"),
        ("обложка (.*)", "обложка /я.jpg", "/%D1%8F.jpg"),
        ("(.*)z", "  /a b.jpg  z", "/a%20b.jpg"),
        ("none", "some", None),
        ("(x?)", "y", None),
    ],
)
def test_regex(pattern: str, body: str, url: str | None) -> None:
    assert url_of(body, Rule(regex=Regex(pattern))) == absolute(url)


@pytest.mark.parametrize(
    ("selector", "attribute", "body", "url"),
    [
        ("img", None, "<img src=/a.jpg>", "/a.jpg"),
        ("img", None, "<img alt=x><img src=''><img src='data:,'><img src='#'><img src=/b.jpg>", "/b.jpg"),
        ("img", "data-src", "<img src=/a.gif><img DATA-SRC='/b.jpg'>", "/b.jpg"),
        ("img", "src", "<img src='/a?x=1&amp;y=2&copy=3'>", "/a?x=1&y=2&copy=3"),
        (".cover > img", None, "<img src=/a><div class='big cover'><b></b><img src=/b></div>", "/b"),
        ("#cover img", None, "<table><tr><td id=cover><a href=x><img src=/a><tr><td><img src=/b></table>", "/a"),
        ("li:nth-child(2) img", None, "<ul><li><img src=/a><li><img src=/b></ul>", "/b"),
        ('link[rel="image_src"]', "href", "<head><link rel=image_src href=/a.jpg>", "/a.jpg"),
        ("img", "srcset", "<img srcset='/s.jpg 320w, /l.jpg 1280w, /m.jpg 640w'>", "/l.jpg"),
        ("img", "srcset", "<img srcset='/one.jpg, /two,w_2.jpg 2x'>", "/two,w_2.jpg"),
        ("img", "data-srcset", "<img data-srcset='/only.jpg'>", "/only.jpg"),
        ("img", "srcset", "<img srcset=' , ,'><img srcset='/b.jpg 1.5x,/c.jpg 1x'>", "/b.jpg"),
        ("p > img", None, "<p><noscript><img src=/a.jpg></noscript>", "/a.jpg"),
        ("a", "href", "<a href=/x/><img src=/y></a>", "/x/"),
        ("a img", None, "<a href=/x/><img src=/y></a>", "/y"),
        ("img", None, "<!-- <img src=/no> --><script>'<img src=/no>'</script><img src=/yes>", "/yes"),
        ("p", None, "<img src=/a.jpg>", None),
        ("img", None, "<base href='//cdn.example/i/'><img src=a.jpg>", "https://cdn.example/i/a.jpg"),
        ("img", None, "<base target=_top><base href=/deep/><base href=/no/><img src=a.jpg>", "/deep/a.jpg"),
        ("img", None, "<base href='javascript:1'><img src=a.jpg>", "/item/a.jpg"),
        ("img", None, "<base href='http://[x'><img src=a.jpg>", "/item/a.jpg"),
        ("img", None, f"<base href='/{'x' * 3000}/'><img src=a.jpg>", "/item/a.jpg"),
        (
            "div.product div.gallery img",
            None,
            "<img src=/a><div class=product><div class=gallery><p><img src=/b>",
            "/b",
        ),
        ("img", "srcset", f"<img srcset='{'x' * 70_000}, /a.jpg 2x'><img srcset=/b.jpg>", "/b.jpg"),
    ],
)
def test_css(selector: str, attribute: str | None, body: str, url: str | None) -> None:
    assert url_of(body, Rule(css=CssSelector(selector), attribute=attribute)) == absolute(url)


CAA_RESPONSE = """{"images": [{"types": ["Back"], "front": false, "image": "http://archive.example/1.jpg", "id": 1},
{"types": ["Front"], "front": true, "image": "http://archive.example/2.jpg", "id": "2", "thumbnails": {}}]}"""


@pytest.mark.parametrize(
    ("path", "body", "url"),
    [
        ("images[?front].image", CAA_RESPONSE, "http://archive.example/2.jpg"),
        (
            "cover_xl",
            '{"id": 302127, "cover_xl": "https://cdn.example/1000x1000.jpg"}',
            "https://cdn.example/1000x1000.jpg",
        ),
        ("cover_xl", '{"error": {"type": "DataException", "message": "no data", "code": 800}}', None),
        (
            "results[0].artworkUrl100",
            '{"resultCount": 1, "results": [{"artworkUrl100": "/100x100bb.jpg"}]}',
            "/100x100bb.jpg",
        ),
        ("results[0].artworkUrl100", '\n\n\n{"resultCount": 0, "results": []}\n', None),
        ("*.cover.large", '{"ISBN:978": {"cover": {"large": "/l.jpg"}}}', "/l.jpg"),
        ("*.cover.large", "{}", None),
        ("a", '{"a": [null, 1, {}, "/a.jpg", "/b.jpg"]}', "/a.jpg"),
        ("a", '{"a": {"b": "/a.jpg"}}', None),
        ("a", '\ufeff{"a": "/a.jpg"}', "/a.jpg"),
        ("a", r'{"title": "a \ud83d", "a": "/a.jpg"}', "/a.jpg"),
        ("a", r'{"title": "\udE00 a", "\ud83d": "\ud83d\ud83d", "a": "/a.jpg"}', "/a.jpg"),
        ("a", r'{"title": "\ud83d", "a": "/\ud83d\ude00.jpg"}', "/%F0%9F%98%80.jpg"),
        ("a", r'{"title": "\ud83d", "a": ["/\ud83d.jpg", "/b.jpg"]}', "/b.jpg"),
        ("a", r'{"title": "\ud83d", "a": "/a\\ud83d.jpg"}', "/a/ud83d.jpg"),
    ],
)
def test_json(path: str, body: str, url: str | None) -> None:
    assert url_of(body, Rule(json=JmesPath(path))) == absolute(url)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[" * 100_000, "JSON nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "JSON nested too deeply"),
        (b'{"a": "/a.jpg", "n": ' + b"1" * 5000 + b"}", "JSON with a number out of range"),
        (b'{"a": "/a.jpg", "n": 1e999}', "JSON with a number out of range"),
        (b'{"a": "\\ud800"}', "it has characters that could not be decoded"),
        (b'{"a": "/a.jpg",}', "not valid JSON"),
        (b'{"a": "/a.jpg"};', "not valid JSON"),
        (b'// {"a": "/a.jpg"}', "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b"", "not valid JSON"),
        (b"<html>", "not valid JSON"),
        (b'{"a": "/a.jpg"', "not valid JSON"),
        (b'{"a": "/a.jpg", "b": [' + b"1," * 100_000 + b"1]}", "JSON with too many values"),
        (b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}", "no match"),
    ],
)
def test_invalid_or_oversized_json_is_a_miss(body: bytes, reason: str) -> None:
    assert extract_from(body, Rule(json=JmesPath("a"))).misses == (f"json a: {reason}",)


@pytest.mark.parametrize(
    ("path", "reason"), [("length(n)", "JMESPathTypeError"), ("ceil(to_number(s))", "OverflowError")]
)
def test_an_expression_that_fails_on_the_data_is_a_miss(path: str, reason: str) -> None:
    misses = extract_from('{"n": 5, "s": "1e999"}', Rule(json=JmesPath(path))).misses
    assert misses == (f"json {path}: the expression failed: {reason}",)


def test_a_page_is_parsed_at_most_once_and_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(name: str, function: Callable[[str], Any]) -> Callable[[str], Any]:
        def call(text: str) -> Any:
            calls.append(name)
            return function(text)

        return call

    monkeypatch.setattr("app.extract.document.sanitize", counted("html", sanitize))
    monkeypatch.setattr("app.extract.document.parse_json", counted("json", parse_json))
    extract_from("/a.jpg", Rule(regex=Regex("/a.jpg")), IMG, CAA)
    assert calls == []
    extract_from("{}", CAA, CAA, IMG, OG_IMAGE, JSONLD, CAA, IMG)
    assert calls == ["json", "html"]


@pytest.mark.parametrize(
    ("template", "match", "url"),
    [
        ("http://img.example{match}", "/a.jpg", "http://img.example/a.jpg"),
        ("http://img.example/{match}?size={match}", "a b", "http://img.example/a%20b?size=a%20b"),
        ("http://img.example{match}", "@evil.example/", ""),
        ("http://img.example/{match}", "x" * 2040, ""),
        ("http://img.example/{match}", "{0}{x}", "http://img.example/%7B0%7D%7Bx%7D"),
        ("{match}/large.jpg", "https://cdn.example/7", "https://cdn.example/7/large.jpg"),
        ("{match}-large.jpg", "/img/7", "https://shop.example/img/7-large.jpg"),
        ("{match}.jpg", "javascript:alert(1)//", ""),
        ("{match}.evil.example/", "https://user@cdn", ""),
    ],
)
def test_image_url(template: str, match: str, url: str) -> None:
    assert url_of(f"<img src='{match}'>", IMG, image_url=template) == url


def test_the_template_of_a_rule_overrides_that_of_the_source() -> None:
    """The text of a rule includes its template."""
    rules = [
        Rule(regex=Regex("small=(.+)-s.jpg"), image_url=ImageUrlTemplate("{match}-l.jpg")),
        Rule(regex=Regex("small=(.+)")),
    ]
    source_template = "https://other.example/{match}"
    found = extract_from("small=http://cdn.example/1-s.jpg", *rules, image_url=source_template)
    assert (found.url, found.rule) == ("http://cdn.example/1-l.jpg", 0)
    assert str(rules[0]) == "regex small=(.+)-s.jpg -> {match}-l.jpg"
    assert url_of("small=1.gif", *rules, image_url=source_template) == "https://other.example/1.gif"


RULES = [
    OZON,
    Rule(regex=Regex("(?s)src=(.*)")),
    IMG,
    Rule(microdata="image"),
    Rule(jsonld="image", type=TypeName("Product")),
    Rule(css=CssSelector("img"), attribute="srcset"),
    Rule(css=CssSelector("a b > c + :not(d), p:has(> img) :nth-child(2)")),
    OG_IMAGE,
    JSONLD,
    CAA,
    Rule(json=JmesPath("to_string(@)")),
    Rule(json=JmesPath("[].image[] || sort(keys(@))")),
]
SNIPPETS = [
    b"<img src=", b"<base href=", b"http://", b"//[", b"@", b":99999", b"\\", b"%", b"'", b'"', b">", b"</", b"<!--",
    b"<meta property=og:image content=", b'<script type="application/ld+json">', b"</script>", b"<svg>", b"<table>",
    b'{"image":', b'{"@graph":[', b'{"@id":', b"[", b"]", b"}", b",", b"1e9", b"&#xd800;", b"&#0;", b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf", b"<meta charset=", b"utf-16", b"iso-2022-jp", b"\x1b$B", b" ", b"x", "я".encode(), b"\xed\xa0\x80",
    b"srcset=", b"2x,", b"<div itemscope itemprop=image>", b"<img itemprop=image src=", b" itemref=x id=x ",
    b"//<![CDATA[", b"]]>", b"/*", b"*/", b";", b"\\ud83d", b"\\",
]  # fmt: skip


@settings(deadline=None)
@given(
    body=st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(SNIPPETS), max_size=20).map(b"".join)),
    charset=st.one_of(st.none(), st.text(max_size=12), st.sampled_from(["utf-16", "gb18030", "iso-2022-jp", "big5"])),
    page_url=st.sampled_from([PAGE, "http://[::1]:80/", "", "http://[", "http://h:x/"]),
    template=st.sampled_from([None, "https://i.example/{match}", "http://{match}"]),
)
@example(body=b"\xff\xfe\x00\xd8", charset=None, page_url=PAGE, template=None)
def test_no_page_makes_extract_raise(body: bytes, charset: str | None, page_url: str, template: str | None) -> None:
    """For any bytes and any rule, the result is a valid URL or a miss."""
    for rule in RULES:
        found = extract(body, rules=[rule], page_url=page_url, charset=charset, image_url=template)
        assert bool(found.url) == (found.rule >= 0) != bool(found.misses)
        assert found.url == "" or found.url.startswith(("http://", "https://"))
        assert found.url.isascii()
        assert " " not in found.url
        assert len(found.url) <= 2048
        msgspec.json.encode(found)


KEYS = ["image", "url", "contentUrl", "@id", "@type", "@graph", "mainEntity", "primaryImageOfPage", "images", "front"]


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.sampled_from(["WebPage", "schema:Person", "x"]),
        lambda v: st.lists(v) | st.dictionaries(st.sampled_from(KEYS), v),
    )
)
def test_no_json_makes_extract_raise(value: Any) -> None:
    body = msgspec.json.encode(value)
    assert len(extract(body, rules=RULES[-3:], page_url=PAGE).misses) <= 3
    assert len(extract_from(json_ld_page(body.decode()), JSONLD).misses) <= 1


def test_a_page_that_should_be_json_is_malformed() -> None:
    """An error page with status 200 does not mean that the item has no cover."""
    rules = [Rule(json=JmesPath("cover"))]
    html = extract(b"<html>sorry", rules=rules, page_url="https://api.example/1")
    json = extract(b"{}", rules=rules, page_url="https://api.example/1")
    assert (html.is_malformed, json.is_malformed) == (True, False)
