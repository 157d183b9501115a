"""CSS selectors: evaluation of compound selectors one by one matches what lexbor matches for the whole selector."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from app.config.css_selector import CssSelector, counts_siblings
from app.extract.css_query import select_elements
from app.extract.document import Document, UnreadablePage

PAGE = """<html><body class=a><div id=1 class=a><p id=2 class=b><img id=3><b id=4></b></p><p id=5 class="a b">
<img id=6></p><div id=7><div id=8 class=b><img id=9></div></div></div><ul id=10><li id=11><img id=12><li id=13 class=a>
<img id=14></ul><p id=15></body></html>"""
# No functions: lexbor does not match all elements of ":not(.a) *".
COMPOUNDS = ["*", "div", "p", "img", "li", ".a", ".b", "p.b", "[class~='a']", "[id='1']", "#\\31 "]


def ids(tree: LexborHTMLParser, selector: str) -> list[str | None]:
    return [element.attributes.get("id") for element in select_elements(tree, selector)]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(COMPOUNDS),
            st.lists(st.tuples(st.sampled_from([" ", ">", " + "]), st.sampled_from(COMPOUNDS)), max_size=3),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_selector_matches_what_lexbor_matches(alternatives: list[tuple[str, list[tuple[str, str]]]]) -> None:
    """In document order, and each element once."""
    tree = LexborHTMLParser(PAGE)
    text = ", ".join(first + "".join(map("".join, rest)) for first, rest in alternatives)
    CssSelector.parse(text)
    expected = dict.fromkeys(element.attributes.get("id") for element in tree.css(text))
    assert list(dict.fromkeys(ids(tree, text))) == list(expected)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("div div img", ["9"]),
        ("div > p > img", ["3", "6"]),
        ("p + p img", ["6"]),
        ("li + li", ["13"]),
        ("div p, ul img", ["2", "5", "12", "14"]),
        ("ul img, div p", ["2", "5", "12", "14"]),
        ("p:has(> b) img", ["3"]),
        ("div:not(:has(> p)) > div", ["8"]),
        ("p:has(+ p) b", ["4"]),
        ('[id="1"] > [class="a b"]', ["5"]),
        ("li:nth-child(2) img", ["14"]),
        (":not(.a) p", ["2", "5", "15"]),
        (":is(p, .b) > img", ["3", "6", "9"]),
        (".none div", []),
    ],
)
def test_the_elements_of_a_selector(selector: str, expected: list[str]) -> None:
    assert ids(LexborHTMLParser(PAGE), CssSelector.parse(selector)) == expected


@pytest.mark.parametrize(
    "selector",
    [
        "",
        " ",
        "a,",
        ",a",
        "> a",
        "a >",
        "a > > b",
        "a(",
        "a)",
        "a[b",
        "a || b",
        "a::before",
        "!",
        "a:not()",
        "a(b) c",
        "a:has(~ b)",
    ],
)
def test_an_invalid_selector_is_refused(selector: str) -> None:
    with pytest.raises(ValueError, match="expected a CSS selector"):
        CssSelector.parse(selector)


@pytest.mark.parametrize(
    "selector",
    [
        "a ~ b",
        "a b ~ c, d",
        "a:not(b c)",
        "a:is(b > c)",
        "a:where(b + c)",
        "a:has(> b c)",
        "a:has(> :not(:has(> b)))",
        "a:has(b)",
        "a:has(> b:nth-child(2))",
        "a:has(> b:first-of-type)",
        "a:has(> b, c > d)",
        "a:nth-child(2 of .b)",
        "a:NTH-LAST-CHILD(2 OF .b)",
        'a:lexbor-contains("b")',
        "a:not([x='('], :has(b c))",
    ],
)
def test_a_selector_that_could_be_slow_is_refused(selector: str) -> None:
    with pytest.raises(ValueError, match=r"hostile pages$"):
        CssSelector.parse(selector)


def test_nth_child_needs_a_limited_number_of_siblings() -> None:
    """The cost per sibling is half of their number."""
    assert Document(b"<p>" * 900).select("p:nth-child(900)")
    with pytest.raises(UnreadablePage, match="more than 1000 children"):
        Document(b"<p>" * 1200).select("p:nth-child(2)")
    assert Document(b"<p>" * 1200).select("p:first-child")


@pytest.mark.parametrize("selector", ["a:nth-child(2)", "a:NTH-last-of-type(2)", "a:only-of-type b"])
def test_selectors_that_count_siblings(selector: str) -> None:
    assert counts_siblings(selector)
    assert not counts_siblings("a:first-child :last-child:only-child")
