"""The character encoding of a page."""

import pytest

from app.config.css_selector import CssSelector
from app.config.rules import JmesPath, Regex, Rule
from tests.extract.extraction import url_of


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
        (b"<META content='text/html; charset=koi8-r' http-equiv=x>" + "я".encode("koi8-r"), None, "я"),
        (b"<meta charset=utf-16>" + "я".encode(), None, "я"),
        (b" " * 1024 + b"<meta charset=windows-1251>" + "я".encode(), None, "я"),
        (b"<meta charset=windows-1251>" + "я".encode(), "utf-8", "я"),
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
    """The encoding is that of the header, the byte order mark or <meta>, in this order, else UTF-8.

    Unknown labels are ignored.
    """
    page = body.encode() if isinstance(body, str) else body
    non_ascii = Rule(regex=Regex(r"([^\x00-\x7f\x{feff}]+)"))
    assert url_of(page, non_ascii, charset=charset) == url_of(text, non_ascii) != ""


def test_undecodable_bytes_are_replaced() -> None:
    img = Rule(css=CssSelector("img"))
    assert url_of(b"<title>\xff\xfe\x80</title><img alt='\xff' src=/a.jpg>", img) == "https://shop.example/a.jpg"
    assert url_of(b'{"name": "\xff", "a": "/a.jpg"}', Rule(json=JmesPath("a"))) == "https://shop.example/a.jpg"
    assert url_of(b"\xff\x80 /a.jpg", Rule(regex=Regex("/a.jpg"))) == "https://shop.example/a.jpg"


def test_a_regex_does_not_decode_a_utf8_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are searched unchanged, even if they are not valid UTF-8."""
    monkeypatch.setattr("app.extract.document.Document.text", None)
    assert url_of(b"\xff /a.jpg", Rule(regex=Regex("/a.jpg"))) == "https://shop.example/a.jpg"
