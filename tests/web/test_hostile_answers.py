"""What nobody can do to a reader of the page, whoever made the ids, the pages and the answers."""

import json
from collections.abc import Callable
from urllib.parse import quote

from tests.support.scripted_origin import page, redirect
from tests.web.page_harness import PageHarness, kinds, look_up, wait_for_end

XSS = '"><img/src=x/onerror=window.hacked=1><script>window.hacked=1</script>'


def test_ids_and_errors_are_never_markup(stage: PageHarness) -> None:
    """Neither an id of a link or of the keyboard, nor what an origin says; not on the card, not in the dialog."""
    stage.sad.item(quote(XSS, safe="/"), page("x", status=f"404 {XSS}", headers={"Content-Type": XSS}))
    stage.sad.item("links", page('<img src="javascript:window.hacked=1">'))
    stage.sad.item("leads", redirect(f"http://elsewhere.example/{XSS}"))
    with stage.visit(f"#source=sad&ids={quote(XSS)}") as visited:
        wait_for_end(visited)
        assert visited.texts(".id") == [XSS]
        look_up(visited, f"links leads {XSS}")
        assert kinds(visited) == ["missing", "failed", "missing"]
        assert visited.texts(".id") == ["links", "leads", XSS]
        assert XSS in visited.texts(".note span")[-1]
        for name in visited.texts(".id"):
            visited.click(f".card:has([title={json.dumps(name)}])")
            assert visited.text("#explain-title") == name
            visited.press("Escape")
        assert visited.value("window.hacked") is None
        assert visited.value("document.querySelectorAll('[onerror], script:not([src]), img[src=x]').length") == 0
        assert visited.errors == []


def test_an_answer_that_leads_to_a_script_leads_nowhere(stage: PageHarness) -> None:
    """The service hands out none; but a page is not to depend on that."""
    record = """<?xml version="1.0"?><methodResponse><params><param><value><struct>
        <member><name>outcome</name><value>found</value></member>
        <member><name>url</name><value>javascript:window.hacked=1</value></member>
        <member><name>page_url</name><value>data:text/html,x</value></member>
        <member><name>error</name><value></value></member>
        </struct></value></param></params></methodResponse>"""
    with stage.visit(intercept=_lie(record)) as visited:
        look_up(visited, "1")
        assert visited.texts(".sleeve .record") == []
        visited.click(".card")
        assert visited.texts(".note b") == ["The picture could not be loaded"] * 2
        assert "javascript:window.hacked=1" in visited.texts("#explain dd")
        assert visited.value("document.querySelectorAll('#explain a:not([href^=http])').length") == 0


def test_an_outcome_that_nobody_knows_is_told_by_its_name(stage: PageHarness) -> None:
    """Also one that is the name of something in every object of the script."""
    record = """<methodResponse><params><param><value><struct>
        <member><name>outcome</name><value>constructor</value></member>
        <member><name>cache</name><value>toString</value></member>
        <member><name>error</name><value></value></member>
        </struct></value></param></params></methodResponse>"""
    with stage.visit(intercept=_lie(record)) as visited:
        look_up(visited, "1")
        assert (kinds(visited), visited.texts(".note b"), visited.texts(".cache")) == (
            ["failed"],
            ["constructor"],
            ["toString"],
        )
        visited.click(".card")
        assert visited.errors == []


def test_the_policy_lets_no_other_script_run(stage: PageHarness) -> None:
    with stage.visit() as visited:
        visited.value(
            "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hacked = 1'}))"
        )
        assert visited.value("window.hacked") is None
        assert "Content Security Policy" in visited.errors[0]


def _lie(record: str) -> Callable[[str, str], tuple[int, str, str] | None]:
    """Return what has the page's explain_cover answered by this record, and lets all else pass."""
    return lambda url, body: (200, "text/xml", record) if url.endswith("/RPC2") and "explain_cover" in body else None
