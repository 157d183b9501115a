"""Image URLs: normalisation and validation of matches."""

from urllib.parse import urljoin

import pytest

from app.domain.url import normalize_url
from app.extract.image_url import UnusableMatch, _plain_url, absolute_url

PAGE = "https://shop.example/item/1?x=2"


@pytest.mark.parametrize(
    ("match", "url"),
    [
        ("/a.jpg", "https://shop.example/a.jpg"),
        ("a.jpg", "https://shop.example/item/a.jpg"),
        ("../../a.jpg", "https://shop.example/a.jpg"),
        ("?size=l", "https://shop.example/item/1?size=l"),
        ("//cdn.example/a.jpg", "https://cdn.example/a.jpg"),
        ("HTTP://CDN.example:8080/A.jpg", "http://cdn.example:8080/A.jpg"),
        (" \n/a b.jpg\t", "https://shop.example/a%20b.jpg"),
        ("/a%20b%2Fc.jpg", "https://shop.example/a%20b%2Fc.jpg"),
        ("/100%.jpg?q=5%zz", "https://shop.example/100%25.jpg?q=5%25zz"),
        ("/обл.jpg?я=1#я", "https://shop.example/%D0%BE%D0%B1%D0%BB.jpg?%D1%8F=1#%D1%8F"),
        ('/a"<b>`{c}|^.jpg', "https://shop.example/a%22%3Cb%3E%60%7Bc%7D%7C%5E.jpg"),
        ("/a(1)[2];v=1,2~'!*@$+.jpg", "https://shop.example/a(1)[2];v=1,2~'!*@$+.jpg"),
        ("https://good.example\\@evil.example/a.jpg", "https://good.example/@evil.example/a.jpg"),
        ("images\\a.jpg", "https://shop.example/item/images/a.jpg"),
        ("\\\\cdn.example\\a.jpg", "https://cdn.example/a.jpg"),
        ("/a?x=\\d", "https://shop.example/a?x=%5Cd"),
        ("http://пример.рф/a.jpg", "http://xn--e1afmkfd.xn--p1ai/a.jpg"),
        ("http://[2001:DB8::1]:8080/a.jpg", "http://[2001:db8::1]:8080/a.jpg"),
        ("https://cdn.example", "https://cdn.example"),
        ("/" + "a" * (2048 - len("https://shop.example/")), "https://shop.example/" + "a" * 2027),
    ],
)
def test_a_match_becomes_an_absolute_url(match: str, url: str) -> None:
    assert absolute_url(match, base=PAGE) == url


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("javascript:alert(1)", "its scheme is javascript, not http or https"),
        ("data:image/gif;base64,R0lGODlh", "its scheme is data"),
        ("ftp://h/a.jpg", "its scheme is ftp"),
        ("x" * 300 + "://h/", "its scheme is xxxxxxxxxxxxxxxxxxxx, not"),
        ("file:///etc/passwd", "its scheme is file"),
        ("https://user:pass@cdn.example/a.jpg", "a user"),
        ("https://user@cdn.example/a.jpg", "a user"),
        ("http:///a.jpg", "no host"),
        ("https://", "no host|itself"),
        ("http://ho st/a.jpg", "its host name is not valid"),
        ("http://ho%73t/a.jpg", "its host name is not valid"),
        ("http://a..b/x", "its host name is not valid"),
        ("http://h:99999/a.jpg", "not a valid URL"),
        ("http://h:port/a.jpg", "not a valid URL"),
        ("http://[::1/a.jpg", "not a valid URL"),
        ("http://" + "я" * 80 + ".рф/", "not a valid URL"),
        ("/a\nb.jpg", "control characters"),
        ("/a\x00b.jpg", "control characters"),
        ("/a\x85b.jpg", "control characters"),
        ("/a\ud800.jpg", "not a valid URL"),
        ("/a\ufffd.jpg", "characters that could not be decoded"),
        ("https://cdn.example/a.jpg?q=\ufffd", "characters that could not be decoded"),
        ("/" + "a" * 2048, "longer than 2048"),
        ("/" + "я" * 400, "longer than 2048"),
        ("x" * 1_000_000, "longer than 2048"),
        ("#top", "the page itself"),
        (PAGE, "the page itself"),
    ],
)
def test_an_unusable_match_is_refused(match: str, reason: str) -> None:
    with pytest.raises(UnusableMatch, match=reason):
        print(absolute_url(match, base=PAGE))  # noqa: T201 - shows the URL if the test fails


@pytest.mark.parametrize(
    ("match", "url"),
    [
        ("/a.jpg", "https://shop.example/a.jpg"),
        ("/a b.jpg", "https://shop.example/a%20b.jpg"),
        ("http://cdn.example/a.jpg?u=http://x.example:80/", "https://cdn.example/a.jpg?u=http://x.example:80/"),
        ("HTTP://CDN.example:80/a.jpg", "https://cdn.example/a.jpg"),
        ("http://cdn.example:80", "https://cdn.example"),
        ("http://cdn.example:8080/a.jpg", "https://cdn.example:8080/a.jpg"),
        ("http://[2001:db8::80]/a.jpg", "https://[2001:db8::80]/a.jpg"),
        ("https://cdn.example:80/a.jpg", "https://cdn.example:80/a.jpg"),
    ],
)
def test_an_image_url_is_handed_out_as_https(match: str, url: str) -> None:
    """The port 80, which is that of http, is removed."""
    assert absolute_url(match, base="http://shop.example/item/1", https=True) == url


def test_https_applies_to_templates() -> None:
    template = "http://cdn.example/{match}"
    assert absolute_url("7.jpg", base=PAGE, template=template) == "http://cdn.example/7.jpg"
    assert absolute_url("7.jpg", base=PAGE, template=template, https=True) == "https://cdn.example/7.jpg"


def test_the_limit_on_the_length_includes_the_s_of_https() -> None:
    match = "http://cdn.example/" + "a" * (2048 - len("http://cdn.example/"))
    assert absolute_url(match, base=PAGE) == match
    with pytest.raises(UnusableMatch, match="longer than 2048"):
        absolute_url(match, base=PAGE, https=True)


@pytest.mark.parametrize("match", ["/none.png", "/none%2Epng?x", "http://shop.example/img/none.png", "/x?/none.png"])
def test_a_rejected_url_is_refused(match: str) -> None:
    """The expressions are searched in the URL that would be handed out."""
    reject = ["^http:", r"/none(?:\.|%2E)png"]
    with pytest.raises(UnusableMatch, match=r"^it matches reject /none"):
        absolute_url(match, base="http://shop.example/", https=True, reject=reject)
    assert absolute_url("/one.png", base=PAGE, https=True, reject=reject) == "https://shop.example/one.png"
    assert absolute_url("/one.png", base=PAGE, reject=[]) == "https://shop.example/one.png"


@pytest.mark.parametrize(
    "base", ["http://shop.example/item/42?a=b", "https://a.b-c.example:8443/", "http://127.0.0.1:80/x"]
)
@pytest.mark.parametrize("match", ["/a.jpg", "/a/b-c_d/~e/1.2.3.png", "/A/B.JPG"])
def test_the_fast_path_gives_the_same_url(base: str, match: str) -> None:
    assert _plain_url(match, base) == normalize_url(urljoin(base, match)) == absolute_url(match, base=base)


@pytest.mark.parametrize(
    ("match", "base"),
    [
        *(
            (match, "http://shop.example/")
            for match in ("//a.jpg", "/../a.jpg", "/./a", "/a/", "/a//b", "/.a", "a.jpg")
        ),
        *((match, "http://shop.example/") for match in ("/a?b", "/a#b", "/a b", "/ä", "/%41", "/a\\b", "/", "")),
        *(("/a", base) for base in ("http://Shop.example/", "http://shop.example", "ftp://shop.example/", "/")),
        *(("/a", base) for base in ("http://shop.example/a", "http://u@shop.example/", "http://[::1]/", "http://a:0/")),
    ],
)
def test_the_fast_path_is_for_plain_paths_only(match: str, base: str) -> None:
    assert _plain_url(match, base) is None
