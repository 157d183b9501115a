"""The character encoding of a page."""

import pytest

from app.config.css_selector import CssSelector
from app.config.rules import JmesPath, Regex, Rule
from tests.extract.extraction import extract_from, url_of

IMG = Rule(css=CssSelector("img"))
CYRILLIC = Rule(regex=Regex(r"([^\x00-\x7f]+\.jpg)"))


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        ("я", None, "я"),
        ("я".encode("utf-16"), None, "я"),
        ("\ufeffя".encode("utf-16-be"), None, "я"),
        ("\ufeffя".encode(), None, "я"),
        ("я".encode("utf-16-le"), "UTF-16LE", "я"),
        ("я".encode("cp1251"), '"Windows-1251"', "я"),
        ("я".encode("cp1251"), " cp1251 ", "я"),
        (b"<meta charset='windows-1251'>" + "я".encode("cp1251"), None, "я"),
        (b"<META content='text/html; charset=koi8-r' http-equiv=Content-Type>" + "я".encode("koi8-r"), None, "я"),
        (b"<meta charset=utf-16>" + "я".encode(), None, "я"),
        (b"<meta charset=windows-1251>" + "я".encode(), "utf-8", "я"),
        (b"\xef\xbb\xbf<meta charset=windows-1251>" + "я".encode(), "windows-1251", "я"),
        (b"<meta charset=no-such-charset><meta charset=windows-1251>" + "я".encode("cp1251"), None, "я"),
        (b"<meta charset=' windows-1251 '>" + "я".encode("cp1251"), None, "я"),
        (b"<meta charset=windows-1251>" + "я".encode("cp1251"), "no-such-charset", "я"),
        ("書".encode("shift_jis"), "Shift_JIS", "書"),
        ("書".encode("euc-jp"), "EUC-JP", "書"),
        ("書".encode("gb18030"), "gb2312", "書"),
        ("한".encode("euc-kr"), "ks_c_5601-1987", "한"),
        ("é€".encode("cp1252"), "iso-8859-1", "é€"),
        ("é".encode(), "no-such-charset", "é"),
        ("é".encode(), "zlib", "é"),
        ("é".encode(), "utf-7", "é"),
        ("é".encode(), "idna", "é"),
        ("é".encode(), "unicode_escape", "é"),
        ("é".encode(), "utf-8\0", "é"),
        ("é".encode(), "x" * 100_000, "é"),
        ("é".encode(), "", "é"),
    ],
)
def test_charset(body: bytes | str, charset: str | None, text: str) -> None:
    """The encoding is the first one that a byte order mark, the header or <meta> gives, otherwise UTF-8.

    Unknown labels are ignored.
    """
    page = body.encode() if isinstance(body, str) else body
    non_ascii = Rule(regex=Regex(r"([^\x00-\x7f\x{feff}]+)"))
    assert url_of(page, non_ascii, charset=charset) == url_of(text, non_ascii) != ""


IN_WINDOWS_1251 = b"<meta charset=windows-1251>"


@pytest.mark.parametrize(
    "head",
    [
        b" " * 2000,
        b"x" * 2000,
        b"<!doctype html><html lang=ru><head>" + b"<link rel=stylesheet href=/a.css>" * 99,
        b"<script>" + b"document.write('<p>');" * 99 + b"</script>",
        b"<style>" + b"p > a {}" * 999 + b"</style><title>a <b> in a title" + b" " * 2000 + b"</title>",
        b"<base href=/><object></object><noscript><meta name=a></noscript>" + b" " * 2000,
        b"<!-- " + b"<p> <meta charset=koi8-r> " * 99 + b"-->",
        b"<script>" + b"x" * 300_000 + b"</script>",
        b"</head><p>" + b" " * 900,
    ],
    ids=lambda head: head[:20].decode(),
)
def test_a_meta_element_anywhere_in_the_head_declares_the_encoding(head: bytes) -> None:
    """Browsers search the whole head, and the first 1,024 bytes even after the head."""
    assert url_of(head + IN_WINDOWS_1251 + "я.jpg".encode("cp1251"), CYRILLIC) == "https://shop.example/item/%D1%8F.jpg"


@pytest.mark.parametrize(
    "page",
    [
        b"<p>" + b" " * 1024 + IN_WINDOWS_1251,
        b"</head>" + b" " * 1024 + IN_WINDOWS_1251,
        b"<body>" + b" " * 1024 + IN_WINDOWS_1251,
        b"<!--" + IN_WINDOWS_1251 + b"-->",
        b"<script>" + IN_WINDOWS_1251 + b"</script>",
        b"<title>" + IN_WINDOWS_1251 + b"</title>",
        b"<metadata charset=windows-1251>",
        b"<meta name=description content='charset=windows-1251'>",
        b"<meta http-equiv=refresh content='1; charset=windows-1251'>",
        b"<meta data-charset=windows-1251>",
        b"<meta charset='windows-1251",
        b"<link>" * 2000 + IN_WINDOWS_1251,
        b'{"html": "' + IN_WINDOWS_1251 + b'", "image": "',
    ],
)
def test_other_markup_does_not_declare_the_encoding(page: bytes) -> None:
    """As in browsers. In a JSON page, HTML is only text."""
    assert url_of(page + " я.jpg".encode(), CYRILLIC) == "https://shop.example/item/%D1%8F.jpg"


@pytest.mark.parametrize(
    ("page", "url"),
    [
        (b"<img src='/\xff.jpg'><img src=/b.jpg>", "https://shop.example/b.jpg"),
        (b"<img src='/\xff.jpg'>", ""),
        (b"<img src='/\xef\xbf\xbd.jpg'>", ""),
        (b"<img src='/&#xfffd;.jpg'>", ""),
        (b"<base href='/\xff/'><img src=a.jpg><img src=/b.jpg>", "https://shop.example/b.jpg"),
        (b"<meta charset=utf-16><img src='/\xd1.jpg'><img src='/\xd1\x8f.jpg'>", "https://shop.example/%D1%8F.jpg"),
    ],
)
def test_a_match_with_undecodable_bytes_is_not_usable(page: bytes, url: str) -> None:
    """The URL would be that of another image, or of none. The next match is tried."""
    found = extract_from(page, IMG)
    assert found.url == url
    assert bool(url) or found.misses == ("css img: it has characters that could not be decoded",)


def test_undecodable_bytes_are_replaced() -> None:
    assert url_of(b"<title>\xff\xfe\x80</title><img alt='\xff' src=/a.jpg>", IMG) == "https://shop.example/a.jpg"
    assert url_of(b'{"name": "\xff", "a": "/a.jpg"}', Rule(json=JmesPath("a"))) == "https://shop.example/a.jpg"
    assert url_of(b"\xff\x80 /a.jpg", Rule(regex=Regex("/a.jpg"))) == "https://shop.example/a.jpg"


def test_a_regex_does_not_decode_a_utf8_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are searched unchanged, even if they are not valid UTF-8."""
    monkeypatch.setattr("app.extract.document.Document.text", None)
    assert url_of(b"\xff /a.jpg", Rule(regex=Regex("/a.jpg"))) == "https://shop.example/a.jpg"
