"""The page for all who read it: by keyboard, by ear, in another language, in the dark, on a phone."""

import json
import re
from typing import Any

import pytest

from tests.support.browser import Page
from tests.support.scripted_origin import COVER_PATH, PAGE_PATH
from tests.web.page_harness import PageHarness, kinds, look_up, wait_for_end

LONG_ID = "an-id-that-is-much-longer-than-any-card-is-wide-" * 6


def test_a_cover_is_explained_by_the_keyboard_alone(stage: PageHarness) -> None:
    """Tab leads from the ids to the cards, Enter opens, Escape closes, and the focus is where it was."""
    with stage.visit() as visited:
        look_up(visited, "1 41")
        visited.focus("#ids")
        passed: list[str] = []
        while "card" not in passed and len(passed) < 10:
            visited.press("Tab")
            name, outline = visited.value(FOCUS)
            passed.append(name)
            assert outline == "solid"
        assert passed == ["source", "find", "clear", "show", "card"]
        visited.press("Enter")
        visited.until("explain.open")
        assert visited.text("#explain-title") == "1"
        facts = dict(zip(visited.texts("#explain dt"), visited.texts("#explain dd"), strict=True))
        assert facts["Outcome"] == "Found"
        assert facts["Picture"] == stage.origin.url + COVER_PATH.format(number=1)
        assert facts["Page"] == stage.origin.url + PAGE_PATH.format(id=1)
        assert facts["Found by"].startswith("regex ")
        assert facts["Over plain HTTP"] == f"http://127.0.0.1:{stage.server.port}/cover/ozon/1"
        assert {"Answered with", "Fetched", "Fresh until", "This answer", "Took", "Source"} <= facts.keys()
        visited.press("Escape")
        visited.until("!explain.open")
        assert visited.value("document.activeElement.className") == "card"


#: Where the focus is, and the outline that shows it; a radio button's is around its text.
FOCUS = """(({ activeElement: focused }) => [
    focused.id || focused.className || focused.name,
    getComputedStyle(focused.name ? focused.nextElementSibling : focused).outlineStyle,
])(document)"""


def test_the_keys_of_the_field(stage: PageHarness) -> None:
    """Enter and Ctrl+Enter look up, Shift+Enter begins a line; without ids nothing happens."""
    with stage.visit() as visited:
        visited.focus("#ids")
        visited.press("Enter")
        assert visited.value("round.hidden")
        visited.type("1")
        visited.press("Enter", "Shift")
        visited.type("2")
        assert visited.value("[ids.value, round.hidden]") == ["1\n2", True]
        assert visited.text("#find") == "Find 2 covers"
        visited.press("Enter", "Control")
        wait_for_end(visited)
        assert kinds(visited) == ["found", "found"]


def test_all_that_can_be_used_has_a_name(stage: PageHarness) -> None:
    """As screen readers hear it; and what happens is said in a live region."""
    with stage.visit() as visited:
        look_up(visited, "1 77")
        visited.click(".card")
        nodes = visited.ask("Accessibility.getFullAXTree")["nodes"]
        visited.press("Escape")
        nodes += visited.ask("Accessibility.getFullAXTree")["nodes"]
        used = {"button", "textbox", "combobox", "radio", "link", "progressbar", "dialog", "image", "list"}
        named = {(node["role"]["value"], node["name"]["value"]) for node in nodes if node["role"]["value"] in used}
        assert {role for role, name in named if not name} <= {"list"}
        assert ("textbox", "Ids") in named
        assert ("progressbar", "Progress") in named
        assert visited.text("#spoken") == visited.text("#status")


def test_it_speaks_russian_to_those_who_read_it(stage: PageHarness) -> None:
    """With its own plural forms and numbers, and no word left in English but the service's own."""
    with stage.visit(language="ru-RU,ru,en") as visited:
        named = []
        for ids in ("1", "1 2 3", "1 2 3 4 5"):
            visited.value("document.querySelector('#ids').select()")
            visited.type(ids)
            named.append(visited.text("#find"))
        assert named == ["Найти 1 обложку", "Найти 3 обложки", "Найти 5 обложек"]
        look_up(visited, "1 77")
        assert visited.text("#status").startswith("Найдено: 1. Без обложки: 1. Сбоев: 0. Время: ")
        assert visited.texts(".note b") == ["Нет такого товара"]
        visited.click(".card")
        words = " ".join(
            visited.texts("label, dt, h2:not(#explain-title), h3, button:not(.card), .hint:not(#source-hint)")
        )
        assert set(re.findall(r"[A-Za-z{]+", words)) <= {"HTTP", "Enter", "Shift"}
        assert visited.errors == []


@pytest.mark.parametrize(("accepted", "language"), [("uk,ru", "ru"), ("de,fr", "en")])
def test_the_first_language_that_it_speaks_counts(stage: PageHarness, accepted: str, language: str) -> None:
    with stage.visit(language=accepted) as visited:
        assert visited.value("document.documentElement.lang") == language


def test_both_languages_have_the_same_texts(modules: Page) -> None:
    """Name for name, and with the same places for values."""
    source = modules.value("fetch('/static/texts.js').then((answer) => answer.text())")
    table = re.search(r"const TEXTS = (\{.*?\n\});", source, re.DOTALL)
    assert table is not None
    texts = modules.value(f"({table[1]})")

    def shape(value: Any) -> Any:
        if isinstance(value, str):
            return sorted(re.findall(r"\{\w+\}", value))
        return shape(value["other"]) if "other" in value else {name: shape(below) for name, below in value.items()}

    assert shape(texts["ru"]) == shape(texts["en"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_light_and_dark(stage: PageHarness, scheme: str) -> None:
    """The ground is what the reader likes, and text on it has the contrast of WCAG 2 AA."""
    with stage.visit(scheme=scheme) as visited:
        look_up(visited, "1 77 nope")
        ground = visited.value("getComputedStyle(document.body).backgroundColor")
        assert (luminance(ground) > 0.5) is (scheme == "light")
        visited.until("document.querySelector('.host')")
        visited.click("[data-kind=found] .card")
        for selector in READ:
            text, behind = visited.value(COLOURS.replace("SELECTOR", json.dumps(selector)))
            light, dark = sorted((luminance(text), luminance(behind)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, selector


READ = (
    *("h1", ".brand p", "label", "#ids-hint", "#ids", "#source", "#find", "#clear", "#status", "#filter span"),
    *(".id", ".facts", ".note b", "[data-kind=failed] .note b", ".note span", "#live-note", ".tile h3", ".number"),
    *(".tile .hint", ".host", "[data-state=fails] .hint", "dt", "dd", "dd a"),
)

#: The colour of a text, and the one that is seen behind it.
COLOURS = """(() => {
    const element = document.querySelector(SELECTOR);
    let behind = element;
    while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
    return [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
})()"""


def luminance(colour: str) -> float:
    """Return the relative luminance of ``rgb(…)``, as WCAG 2 has it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("motion", "animation"), [("reduce", "none"), ("no-preference", "turn")])
def test_who_wants_no_motion_sees_none(stage: PageHarness, motion: str, animation: str) -> None:
    with stage.visit(motion=motion) as visited:
        visited.value("document.body.insertAdjacentHTML('beforeend', '<span class=disc></span>')")
        assert visited.value("getComputedStyle(document.querySelector('.disc')).animationName") == animation


def test_in_the_readers_own_few_colours_all_can_be_told_apart(stage: PageHarness) -> None:
    """How far the round is, which cards are shown and where a card ends are told by more than our grounds."""
    with stage.visit() as visited:
        visited.ask("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
        look_up(visited, "1 77")
        for one, other in (("#bar div", "#bar"), ("input:checked + span", "input:not(:checked) + span")):
            grounds = [visited.value(GROUND.replace("SELECTOR", json.dumps(each))) for each in (one, other)]
            assert grounds[0] != grounds[1], one
        assert visited.value("getComputedStyle(document.querySelector('.sleeve')).borderStyle") == "solid"


GROUND = "getComputedStyle(document.querySelector(SELECTOR)).backgroundColor"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_nothing_moves_when_a_button_appears(stage: PageHarness, language: str) -> None:
    """The button beside the main one leaves it in one line, with a thousand ids too."""
    with stage.visit(width=1280, language=language) as visited:
        visited.value("document.querySelector('#ids').select()")
        visited.type(" ".join(f"no{number}" for number in range(1000)))
        height = visited.value("document.querySelector('#find').offsetHeight")
        for button in ("stop", "clear"):
            visited.value(f"({button}.hidden = false, 0)")
            assert visited.value("document.querySelector('#find').offsetHeight") == height
            visited.value(f"({button}.hidden = true, 0)")


def test_on_a_touch_screen_the_keyboard_goes_when_covers_come(stage: PageHarness) -> None:
    """It would cover them; with a keyboard of its own the focus stays for the next ids."""
    with stage.visit() as visited:
        look_up(visited, "1")
        assert visited.value("document.activeElement.id") == "ids"
        visited.ask("Emulation.setTouchEmulationEnabled", enabled=True)
        visited.until("matchMedia('(pointer: coarse)').matches")
        look_up(visited, "2")
        assert visited.value("document.activeElement === document.body")


@pytest.mark.parametrize("language", ["en", "ru"])
def test_large_type_is_not_cut(stage: PageHarness, language: str) -> None:
    """In a narrow window, and for readers who have their browser write twice as large: the page grows with it."""
    cut = """Array.from(document.querySelectorAll('#shelf > li, .sleeve, select, .note b'))
        .filter((one) => one.scrollHeight > one.clientHeight + 1 || one.scrollWidth > one.clientWidth)
        .map((one) => one.innerText)"""
    with stage.visit(width=320, height=640, language=language) as visited:
        look_up(visited, "1 41 77 nope 42")
        visited.until("document.querySelectorAll('.note').length === 4")
        for size in ("16px", "32px"):
            visited.value(f"document.documentElement.style.fontSize = '{size}'")
            assert visited.value(cut) == []
            assert not visited.value("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_phone_needs_no_scrolling_sideways(stage: PageHarness, language: str) -> None:
    """Whatever is shown: long ids, long errors, the dialog, the live view."""
    too_wide = "document.documentElement.scrollWidth > innerWidth"
    with stage.visit(width=360, height=740, language=language) as visited:
        visited.until("document.querySelector('.host')")
        assert not visited.value(too_wide)
        look_up(visited, f"1 77 {LONG_ID} nope")
        assert not visited.value(too_wide)
        visited.click("[data-kind=failed] .card")
        assert not visited.value(f"{too_wide} || explain.scrollWidth > explain.clientWidth")
