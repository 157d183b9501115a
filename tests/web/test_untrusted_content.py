"""Content from outside (ids, origins' pages, XML-RPC responses) cannot run scripts in the page."""

import json
from collections.abc import Callable
from urllib.parse import quote

from tests.support.scripted_origin import page as html_page
from tests.support.scripted_origin import redirect
from tests.web.page_harness import PageHarness, card_states, look_up, wait_until_finished

XSS = '"><img/src=x/onerror=window.hacked=1><script>window.hacked=1</script>'


def test_ids_and_errors_are_never_markup(harness: PageHarness) -> None:
    """This holds for ids that are linked or typed and for errors with text of an origin, in cards and in the dialog."""
    harness.second_origin.item(quote(XSS, safe="/"), html_page("x", status=f"404 {XSS}", headers={"Content-Type": XSS}))
    harness.second_origin.item("links", html_page('<img src="javascript:window.hacked=1">'))
    harness.second_origin.item("redirects", redirect(f"http://elsewhere.example/{XSS}"))
    with harness.open_page(f"#source=second&ids={quote(XSS)}") as page:
        wait_until_finished(page)
        assert page.texts(".id") == [XSS]
        look_up(page, f"links redirects {XSS}")
        assert card_states(page) == ["missing", "failed", "missing"]
        assert page.texts(".id") == ["links", "redirects", XSS]
        assert XSS in page.texts(".note span")[-1]
        for name in page.texts(".id"):
            page.click(f".card:has([title={json.dumps(name)}])")
            assert page.text("#explain-title") == name
            page.press("Escape")
        assert page.evaluate("window.hacked") is None
        assert page.evaluate("document.querySelectorAll('[onerror], script:not([src]), img[src=x]').length") == 0
        assert page.errors == []


def test_javascript_urls_are_not_links(harness: PageHarness) -> None:
    """The service returns none, but the page does not depend on that."""
    record = """<?xml version="1.0"?><methodResponse><params><param><value><struct>
        <member><name>outcome</name><value>found</value></member>
        <member><name>url</name><value>javascript:window.hacked=1</value></member>
        <member><name>page_url</name><value>data:text/html,x</value></member>
        <member><name>error</name><value></value></member>
        </struct></value></param></params></methodResponse>"""
    with harness.open_page(intercept=_fake_record(record)) as page:
        look_up(page, "1")
        assert page.texts(".thumbnail .vinyl") == []
        page.click(".card")
        assert page.texts(".note b") == ["The picture could not be loaded"] * 2
        assert "javascript:window.hacked=1" in page.texts("#explain dd")
        assert page.evaluate("document.querySelectorAll('#explain a:not([href^=http])').length") == 0


def test_an_unknown_outcome_is_shown_by_its_name(harness: PageHarness) -> None:
    """This includes the names of properties that every JavaScript object has."""
    record = """<methodResponse><params><param><value><struct>
        <member><name>outcome</name><value>constructor</value></member>
        <member><name>cache</name><value>toString</value></member>
        <member><name>error</name><value></value></member>
        </struct></value></param></params></methodResponse>"""
    with harness.open_page(intercept=_fake_record(record)) as page:
        look_up(page, "1")
        assert (card_states(page), page.texts(".note b"), page.texts(".cache")) == (
            ["failed"],
            ["constructor"],
            ["toString"],
        )
        page.click(".card")
        assert page.errors == []


def test_the_content_security_policy_blocks_inline_scripts(harness: PageHarness) -> None:
    with harness.open_page() as page:
        page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hacked = 1'}))"
        )
        assert page.evaluate("window.hacked") is None
        assert "Content Security Policy" in page.errors[0]


def _fake_record(record: str) -> Callable[[str, str], tuple[int, str, str] | None]:
    """Return an interception that answers calls of explain_cover with this XML-RPC response."""
    return lambda url, body: (200, "text/xml", record) if url.endswith("/RPC2") and "explain_cover" in body else None
