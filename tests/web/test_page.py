"""The web page in a real browser: what a reader sees and can do."""

import re

from tests.support.scripted_origin import COVER_PATH, Barrier, cover
from tests.web.page_harness import PageHarness, kinds, look_up, wait_for_end


def test_covers_appear_and_failures_are_told(stage: PageHarness) -> None:
    """Each in its card, in the order of the ids, with where it came from and how long it took; the bar is full."""
    with stage.visit() as visited:
        look_up(visited, "31, 32;33\n nope 41 77 31")
        assert kinds(visited) == ["found"] * 3 + ["failed"] + ["missing"] * 2
        visited.until("document.querySelectorAll('#shelf img.there').length === 3")
        assert visited.texts(".id") == ["31", "32", "33", "nope", "41", "77"]
        for facts in visited.texts("[data-kind=found] .facts"):
            assert re.fullmatch(r"fetched\n[\d.]+ (ms|sec)", facts)
        assert visited.texts(".note b") == ["No id of this source", "Its page has no cover", "No such item"]
        assert "is no id of ozon" in visited.texts(".note span")[0]
        assert visited.text("#status").startswith("Found: 3. No cover: 2. Failed: 1. Took ")
        bar = visited.value("(({role, ariaValueNow, ariaValueMax}) => [role, ariaValueNow, ariaValueMax])(window.bar)")
        assert bar == ["progressbar", "6", "6"]
        assert visited.errors == []


def test_nothing_is_asked_for_elsewhere(stage: PageHarness) -> None:
    """The page's own files, its calls, and pictures: that is all."""
    with stage.visit() as visited:
        look_up(visited, "1 2")
        visited.until("document.querySelectorAll('#shelf img.there').length === 2")
        assert [url for url in visited.requests if not stage.own(url)] == []
        assert visited.errors == []


def test_covers_appear_while_others_are_waited_for(stage: PageHarness) -> None:
    """At most five are asked for at once, and one that takes long holds up none of the others."""
    held = Barrier(cover(5))
    for number in range(100, 105):
        stage.origin.item(number, held)
    with stage.visit() as visited:
        visited.focus("#ids")
        visited.type("100 101 102 103 1 104 2 3")
        visited.press("Enter")
        visited.until("document.querySelectorAll('[data-kind=found]').length === 1")
        visited.until("document.querySelectorAll('[data-kind=asking]').length === 5")
        assert visited.text("#status") == "1 of 8."
        assert visited.value("window.bar.ariaValueText") == "1 of 8."
        assert kinds(visited)[6:] == ["waiting", "waiting"]
        held.go.set()
        wait_for_end(visited)
        assert kinds(visited) == ["found"] * 8


def test_stop_leaves_the_rest_alone(stage: PageHarness) -> None:
    """What is there stays, what is not is not asked for any more, and the page says where it stopped."""
    held = Barrier(cover(5))
    for number in range(110, 115):
        stage.origin.item(number, held)
    with stage.visit() as visited:
        visited.focus("#ids")
        visited.type("1 110 111 112 113 114 38 39")
        visited.press("Enter")
        visited.until("document.querySelectorAll('[data-kind=found]').length === 1")
        visited.until("document.querySelectorAll('[data-kind=asking]').length === 5")
        visited.click("#stop")
        wait_for_end(visited)
        assert kinds(visited) == ["found"] + ["stopped"] * 7
        assert visited.text("#status") == "Stopped at 1 of 8. Found: 1. No cover: 0. Failed: 0."
        assert stage.origin.asked_for(38) == 0


def test_clear_takes_all_away(stage: PageHarness) -> None:
    with stage.visit() as visited:
        look_up(visited, "1")
        visited.click("#clear")
        assert visited.value("[ids.value, location.hash, shelf.children.length, round.hidden]") == ["", "", 0, True]
        assert visited.value("document.activeElement.id") == "ids"
        assert visited.text("#empty p").startswith("Type the id of an item")


def test_what_was_tried_in_vain_is_told(stage: PageHarness) -> None:
    with stage.visit() as visited:
        look_up(visited, "41")
        visited.click(".card")
        facts = dict(zip(visited.texts("#explain dt"), visited.texts("#explain dd"), strict=True))
        assert facts["Outcome"] == "Its page has no cover"
        assert facts["Tried in vain"].startswith("regex ")
        assert "Picture" not in facts


def test_a_picture_that_cannot_be_shown_is_told_in_words(stage: PageHarness) -> None:
    """And which one."""
    with stage.visit() as visited:
        look_up(visited, "42")
        visited.until("document.querySelector('#shelf .note')")
        assert visited.texts(".note b") == ["The picture could not be loaded"]
        assert visited.texts(".note span") == [stage.origin.url + COVER_PATH.format(number=42)]


def test_the_shelf_shows_one_kind_on_demand(stage: PageHarness) -> None:
    with stage.visit() as visited:
        look_up(visited, "1 2 77")
        assert visited.texts("#filter span") == ["All 3", "Found 2", "No cover 1", "Failed 0"]
        shown = "Array.from(shelf.children).filter((card) => card.offsetParent).length"
        counts = []
        for kind in ("found", "missing", "failed", "all"):
            visited.click(f"#filter [value={kind}]")
            counts.append(visited.value(f"[{shown}, nothing.hidden]"))
        assert counts == [[2, True], [1, True], [0, False], [3, True]]


def test_another_source_is_asked_when_it_is_chosen(stage: PageHarness) -> None:
    stage.sad.item("9", cover(1))
    with stage.visit() as visited:
        assert visited.texts("#source option") == ["ozon (default)", "caa", "openlibrary", "deezer", "itunes", "sad"]
        visited.value("(source.value = 'sad', source.dispatchEvent(new Event('change')))")
        assert visited.text("#source-hint") == f"Its pages: {stage.sad.url}/context/detail/id/{{id}}"
        look_up(visited, "9")
        assert kinds(visited) == ["found"]
        assert visited.value("location.hash") == "#ids=9&source=sad"


def test_a_link_has_the_ids_and_the_source(stage: PageHarness) -> None:
    """It looks them up by itself; and so it does when another one is followed within the page."""
    with stage.visit("#ids=1,2+77") as visited:
        wait_for_end(visited)
        assert visited.texts(".id") == ["1", "2", "77"]
        visited.value("location.hash = 'source=sad&ids=3'")
        visited.until("document.querySelector('.id').innerText === '3'")
        wait_for_end(visited)
        assert visited.value("[ids.value, source.value]") == ["3", "sad"]
    with stage.visit("#ids=&source=nowhere") as visited:
        assert visited.value("[round.hidden, source.value]") == [True, ""]
        assert visited.errors == []


def test_where_the_browser_refuses_the_link_the_lookup_goes_on(stage: PageHarness) -> None:
    """As Firefox does with one of a megabyte, and Safari with the hundred and first within half a minute."""
    with stage.visit() as visited:
        visited.value("(history.replaceState = () => { throw new DOMException('no', 'SecurityError'); }, 0)")
        look_up(visited, "1")
        assert kinds(visited) == ["found"]
        assert visited.errors == []


def test_more_than_a_thousand_ids_are_cut_and_that_is_told(stage: PageHarness) -> None:
    with stage.visit() as visited:
        visited.focus("#ids")
        visited.type(" ".join(f"no{number}" for number in range(1001)))
        assert visited.text("#find") == "Find 1,000 covers"
        visited.press("Enter")
        assert len(kinds(visited)) == 1000
        visited.click("#stop")
        wait_for_end(visited)
        assert visited.text("#status").endswith("Only the first 1,000 of the ids are looked up.")


def test_a_service_that_cannot_be_reached_is_told_in_words(stage: PageHarness) -> None:
    """And when it can be reached again, the page needs no reloading."""
    is_gone = True

    def gone(url: str, _body: str) -> tuple[int, str, str] | None:
        return (502, "text/html", "<h1>Bad Gateway</h1>") if is_gone and url.endswith("/RPC2") else None

    with stage.visit(intercept=gone) as visited:
        assert visited.text("#source-hint") == "The service does not answer."
        look_up(visited, "1")
        assert visited.texts(".note b") == ["The service cannot be reached"]
        is_gone = False
        look_up(visited, "1")
        assert kinds(visited) == ["found"]
        visited.until("document.querySelectorAll('#source option').length === 6")
