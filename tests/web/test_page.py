"""The web page in a real browser: lookups, results, sources, links and errors."""

import re

from tests.support.scripted_origin import COVER_PATH, Barrier, cover
from tests.web.page_harness import PageHarness, card_states, look_up, wait_until_finished


def test_each_id_has_a_card_with_its_cover_or_its_failure(harness: PageHarness) -> None:
    """Cards are in the order of the ids and show cache status and duration. At the end the progress bar is full."""
    with harness.open_page() as page:
        look_up(page, "31, 32;33\n nope 41 77 31")
        assert card_states(page) == ["found"] * 3 + ["failed"] + ["missing"] * 2
        page.wait_for("document.querySelectorAll('#results img.loaded').length === 3")
        assert page.texts(".id") == ["31", "32", "33", "nope", "41", "77"]
        for facts in page.texts("[data-state=found] .facts"):
            assert re.fullmatch(r"fetched\n[\d.]+ (ms|sec)", facts)
        assert page.texts(".note b") == ["Not an id of this source", "Its page has no cover", "No such item"]
        assert "is no id of ozon" in page.texts(".note span")[0]
        assert page.text("#status").startswith("Found: 3. No cover: 2. Failed: 1. Took ")
        bar = page.evaluate(
            "(({ role, ariaValueNow, ariaValueMax }) => [role, ariaValueNow, ariaValueMax])"
            "(document.getElementById('progress-bar'))"
        )
        assert bar == ["progressbar", "6", "6"]
        assert page.errors == []


def test_the_page_requests_only_the_service_and_the_images(harness: PageHarness) -> None:
    """Each requested URL belongs to the service or to an origin."""
    with harness.open_page() as page:
        look_up(page, "1 2")
        page.wait_for("document.querySelectorAll('#results img.loaded').length === 2")
        assert [url for url in page.requests if not harness.is_expected_url(url)] == []
        assert page.errors == []


def test_covers_appear_while_other_lookups_are_in_progress(harness: PageHarness) -> None:
    """At most five lookups run concurrently, and a slow one does not delay the others."""
    barrier = Barrier(cover(5))
    for number in range(100, 105):
        harness.origin.item(number, barrier)
    with harness.open_page() as page:
        page.focus("#ids")
        page.type("100 101 102 103 1 104 2 3")
        page.press("Enter")
        page.wait_for("document.querySelectorAll('[data-state=found]').length === 1")
        page.wait_for("document.querySelectorAll('[data-state=loading]').length === 5")
        assert page.text("#status") == "1 of 8."
        assert page.evaluate("document.getElementById('progress-bar').ariaValueText") == "1 of 8."
        assert card_states(page)[6:] == ["queued", "queued"]
        barrier.go.set()
        wait_until_finished(page)
        assert card_states(page) == ["found"] * 8


def test_stop_cancels_the_remaining_lookups(harness: PageHarness) -> None:
    """Results remain, other ids are not looked up, and the status line has the number of completed lookups."""
    barrier = Barrier(cover(5))
    for number in range(110, 115):
        harness.origin.item(number, barrier)
    with harness.open_page() as page:
        page.focus("#ids")
        page.type("1 110 111 112 113 114 38 39")
        page.press("Enter")
        page.wait_for("document.querySelectorAll('[data-state=found]').length === 1")
        page.wait_for("document.querySelectorAll('[data-state=loading]').length === 5")
        page.click("#stop")
        wait_until_finished(page)
        assert card_states(page) == ["found"] + ["stopped"] * 7
        assert page.text("#status") == "Stopped at 1 of 8. Found: 1. No cover: 0. Failed: 0."
        assert harness.origin.request_count(38) == 0


def test_clear_resets_the_page(harness: PageHarness) -> None:
    with harness.open_page() as page:
        look_up(page, "1")
        page.click("#clear")
        assert page.evaluate("[ids.value, location.hash, results.children.length, progress.hidden]") == [
            "",
            "",
            0,
            True,
        ]
        assert page.evaluate("document.activeElement.id") == "ids"
        assert page.text("#empty p").startswith("Type the id of an item")


def test_the_dialog_lists_the_rules_without_a_match(harness: PageHarness) -> None:
    with harness.open_page() as page:
        look_up(page, "41")
        page.click(".card")
        facts = dict(zip(page.texts("#explain dt"), page.texts("#explain dd"), strict=True))
        assert facts["Outcome"] == "Its page has no cover"
        assert facts["Rules without a match"].startswith("regex ")
        assert "Picture" not in facts


def test_an_image_that_cannot_be_loaded_is_replaced_by_a_note(harness: PageHarness) -> None:
    """The note has the image's URL."""
    with harness.open_page() as page:
        look_up(page, "42")
        page.wait_for("document.querySelector('#results .note')")
        assert page.texts(".note b") == ["The picture could not be loaded"]
        assert page.texts(".note span") == [harness.origin.url + COVER_PATH.format(number=42)]


def test_the_filter_shows_the_cards_in_one_state(harness: PageHarness) -> None:
    with harness.open_page() as page:
        look_up(page, "1 2 77")
        assert page.texts("#filter span") == ["All 3", "Found 2", "No cover 1", "Failed 0"]
        visible_cards = "Array.from(results.children).filter((card) => card.offsetParent).length"
        counts = []
        for state in ("found", "missing", "failed", "all"):
            page.click(f"#filter [value={state}]")
            counts.append(page.evaluate(f"[{visible_cards}, document.getElementById('no-matches').hidden]"))
        assert counts == [[2, True], [1, True], [0, False], [3, True]]


def test_the_selected_source_is_used(harness: PageHarness) -> None:
    harness.second_origin.item("9", cover(1))
    with harness.open_page() as page:
        assert page.texts("#source option") == ["ozon (default)", "caa", "openlibrary", "deezer", "itunes", "second"]
        page.evaluate("(source.value = 'second', source.dispatchEvent(new Event('change')))")
        assert page.text("#source-hint") == f"Its pages: {harness.second_origin.url}/context/detail/id/{{id}}"
        look_up(page, "9")
        assert card_states(page) == ["found"]
        assert page.evaluate("location.hash") == "#ids=9&source=second"


def test_a_link_with_ids_and_a_source_starts_a_lookup(harness: PageHarness) -> None:
    """A lookup starts when the page loads, and when the fragment changes."""
    with harness.open_page("#ids=1,2+77") as page:
        wait_until_finished(page)
        assert page.texts(".id") == ["1", "2", "77"]
        page.evaluate("location.hash = 'source=second&ids=3'")
        page.wait_for("document.querySelector('.id').innerText === '3'")
        wait_until_finished(page)
        assert page.evaluate("[ids.value, source.value]") == ["3", "second"]
    with harness.open_page("#ids=&source=unknown") as page:
        assert page.evaluate("[progress.hidden, source.value]") == [True, ""]
        assert page.errors == []


def test_a_lookup_works_if_the_browser_rejects_its_link(harness: PageHarness) -> None:
    """Firefox rejects a URL of a megabyte, and Safari more than a hundred changes of the URL within 30 seconds."""
    with harness.open_page() as page:
        page.evaluate("(history.replaceState = () => { throw new DOMException('no', 'SecurityError'); }, 0)")
        look_up(page, "1")
        assert card_states(page) == ["found"]
        assert page.errors == []


def test_more_than_a_thousand_ids_are_cut_with_a_note(harness: PageHarness) -> None:
    with harness.open_page() as page:
        page.focus("#ids")
        page.type(" ".join(f"no{number}" for number in range(1001)))
        assert page.text("#find") == "Find 1,000 covers"
        page.press("Enter")
        assert len(card_states(page)) == 1000
        page.click("#stop")
        wait_until_finished(page)
        assert page.text("#status").endswith("Only the first 1,000 of the ids are looked up.")


def test_an_unreachable_service_is_reported(harness: PageHarness) -> None:
    """The page recovers without a reload when the service is reachable again."""
    is_down = True

    def bad_gateway(url: str, _body: str) -> tuple[int, str, str] | None:
        return (502, "text/html", "<h1>Bad Gateway</h1>") if is_down and url.endswith("/RPC2") else None

    with harness.open_page(intercept=bad_gateway) as page:
        assert page.text("#source-hint") == "The service does not answer."
        look_up(page, "1")
        assert page.texts(".note b") == ["The service cannot be reached"]
        is_down = False
        look_up(page, "1")
        assert card_states(page) == ["found"]
        page.wait_for("document.querySelectorAll('#source option').length === 6")
