"""Accessibility of the page: keyboard, screen readers, languages, colour schemes, text size, touch and phones."""

import json
import re
from typing import Any

import pytest

from tests.support.browser import Page
from tests.support.scripted_origin import COVER_PATH, PAGE_PATH
from tests.web.page_harness import PageHarness, card_states, look_up, wait_until_finished

LONG_ID = "an-id-that-is-much-longer-than-any-card-is-wide-" * 6


def test_the_dialog_works_by_keyboard(harness: PageHarness) -> None:
    """Tab moves the focus from the ids to the cards. Enter opens the dialog. Escape closes it and restores focus."""
    with harness.open_page() as page:
        look_up(page, "1 41")
        page.focus("#ids")
        focused: list[str] = []
        while "card" not in focused and len(focused) < 10:
            page.press("Tab")
            name, outline = page.evaluate(FOCUS)
            focused.append(name)
            assert outline == "solid"
        assert focused == ["source", "find", "clear", "filter", "card"]
        page.press("Enter")
        page.wait_for("explain.open")
        assert page.text("#explain-title") == "1"
        facts = dict(zip(page.texts("#explain dt"), page.texts("#explain dd"), strict=True))
        assert facts["Outcome"] == "Found"
        assert facts["Picture"] == harness.origin.url + COVER_PATH.format(number=1)
        assert facts["Page"] == harness.origin.url + PAGE_PATH.format(id=1)
        assert facts["Found by"].startswith("regex ")
        assert facts["Over plain HTTP"] == f"http://127.0.0.1:{harness.server.port}/cover/ozon/1"
        assert {"Response status", "Fetched", "Fresh until", "This answer", "Took", "Source"} <= facts.keys()
        page.press("Escape")
        page.wait_for("!explain.open")
        assert page.evaluate("document.activeElement.className") == "card"


#: The focused element and the style of its outline. Radio buttons have the outline around their text.
FOCUS = """(({ activeElement: element }) => [
    element.id || element.className || element.name,
    getComputedStyle(element.name ? element.nextElementSibling : element).outlineStyle,
])(document)"""


def test_enter_starts_a_lookup(harness: PageHarness) -> None:
    """So does Ctrl+Enter. Shift+Enter inserts a line break. Without ids nothing happens."""
    with harness.open_page() as page:
        page.focus("#ids")
        page.press("Enter")
        assert page.evaluate("progress.hidden")
        page.type("1")
        page.press("Enter", "Shift")
        page.type("2")
        assert page.evaluate("[ids.value, progress.hidden]") == ["1\n2", True]
        assert page.text("#find") == "Find 2 covers"
        page.press("Enter", "Control")
        wait_until_finished(page)
        assert card_states(page) == ["found", "found"]


def test_every_control_has_an_accessible_name(harness: PageHarness) -> None:
    """The status is also announced in a live region."""
    with harness.open_page() as page:
        look_up(page, "1 77")
        page.click(".card")
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        page.press("Escape")
        nodes += page.call("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "textbox", "combobox", "radio", "link", "progressbar", "dialog", "image", "list"}
        controls = {(node["role"]["value"], node["name"]["value"]) for node in nodes if node["role"]["value"] in roles}
        assert {role for role, name in controls if not name} <= {"list"}
        assert ("textbox", "Ids") in controls
        assert ("progressbar", "Progress") in controls
        assert page.text("#announcement") == page.text("#status")


def test_the_page_is_in_russian_for_russian_browsers(harness: PageHarness) -> None:
    """It uses Russian plural forms and numbers. Only texts of the service itself are in English."""
    with harness.open_page(language="ru-RU,ru,en") as page:
        labels = []
        for ids in ("1", "1 2 3", "1 2 3 4 5"):
            page.evaluate("document.querySelector('#ids').select()")
            page.type(ids)
            labels.append(page.text("#find"))
        assert labels == ["Найти 1 обложку", "Найти 3 обложки", "Найти 5 обложек"]
        look_up(page, "1 77")
        assert page.text("#status").startswith("Найдено: 1. Без обложки: 1. Сбоев: 0. Время: ")
        assert page.texts(".note b") == ["Нет такого товара"]
        page.click(".card")
        words = " ".join(
            page.texts("label, dt, h2:not(#explain-title), h3, button:not(.card), .hint:not(#source-hint)")
        )
        assert set(re.findall(r"[A-Za-z{]+", words)) <= {"HTTP", "Enter", "Shift"}
        assert page.errors == []


@pytest.mark.parametrize(("accept_language", "language"), [("uk,ru", "ru"), ("de,fr", "en")])
def test_the_first_supported_language_is_used(harness: PageHarness, accept_language: str, language: str) -> None:
    with harness.open_page(language=accept_language) as page:
        assert page.evaluate("document.documentElement.lang") == language


def test_all_languages_have_the_same_texts(module_page: Page) -> None:
    """They have the same keys, and each text has the same placeholders."""
    source = module_page.evaluate("fetch('/static/i18n.js').then((response) => response.text())")
    table = re.search(r"const TEXTS = (\{.*?\n\});", source, re.DOTALL)
    assert table is not None
    texts = module_page.evaluate(f"({table[1]})")

    def shape(value: Any) -> Any:
        if isinstance(value, str):
            return sorted(re.findall(r"\{\w+\}", value))
        return shape(value["other"]) if "other" in value else {key: shape(nested) for key, nested in value.items()}

    assert shape(texts["ru"]) == shape(texts["en"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_have_enough_contrast(harness: PageHarness, scheme: str) -> None:
    """The background follows the preferred colour scheme, and text on it has the contrast of WCAG 2 AA."""
    with harness.open_page(scheme=scheme) as page:
        look_up(page, "1 77 nope")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (luminance(background) > 0.5) is (scheme == "light")
        page.wait_for("document.querySelector('.host')")
        page.click("[data-state=found] .card")
        for selector in TEXT_SELECTORS:
            text, background = page.evaluate(COLOURS.replace("SELECTOR", json.dumps(selector)))
            light, dark = sorted((luminance(text), luminance(background)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, selector


TEXT_SELECTORS = (
    *("h1", ".brand p", "label", "#ids-hint", "#ids", "#source", "#find", "#clear", "#status", "#filter span"),
    *(".id", ".facts", ".note b", "[data-state=failed] .note b", ".note span", "#live-note", ".panel h3", ".number"),
    *(".panel .hint", ".host", "[data-state=failing] .hint", "dt", "dd", "dd a"),
)

#: The colour of an element's text, and the background colour behind it.
COLOURS = """(() => {
    const element = document.querySelector(SELECTOR);
    let ancestor = element;
    while (getComputedStyle(ancestor).backgroundColor === "rgba(0, 0, 0, 0)") ancestor = ancestor.parentElement;
    return [getComputedStyle(element).color, getComputedStyle(ancestor).backgroundColor];
})()"""


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour ``rgb(…)`` as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("motion", "animation"), [("reduce", "none"), ("no-preference", "spin")])
def test_reduced_motion_disables_animations(harness: PageHarness, motion: str, animation: str) -> None:
    with harness.open_page(motion=motion) as page:
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<span class=spinner></span>')")
        assert page.evaluate("getComputedStyle(document.querySelector('.spinner')).animationName") == animation


def test_forced_colors_keep_states_distinguishable(harness: PageHarness) -> None:
    """Without the page's backgrounds, the progress, the selected filter and the edges of cards remain visible."""
    with harness.open_page() as page:
        page.call("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
        look_up(page, "1 77")
        for first, second in (
            ("#progress-bar div", "#progress-bar"),
            ("input:checked + span", "input:not(:checked) + span"),
        ):
            backgrounds = [
                page.evaluate(BACKGROUND.replace("SELECTOR", json.dumps(selector))) for selector in (first, second)
            ]
            assert backgrounds[0] != backgrounds[1], first
        assert page.evaluate("getComputedStyle(document.querySelector('.thumbnail')).borderStyle") == "solid"


BACKGROUND = "getComputedStyle(document.querySelector(SELECTOR)).backgroundColor"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_second_button_does_not_change_the_layout(harness: PageHarness, language: str) -> None:
    """The label of the first button still fits in one line, even with a thousand ids."""
    with harness.open_page(width=1280, language=language) as page:
        page.evaluate("document.querySelector('#ids').select()")
        page.type(" ".join(f"no{number}" for number in range(1000)))
        height = page.evaluate("document.querySelector('#find').offsetHeight")
        for button in ("stop", "clear"):
            page.evaluate(f"({button}.hidden = false, 0)")
            assert page.evaluate("document.querySelector('#find').offsetHeight") == height
            page.evaluate(f"({button}.hidden = true, 0)")


def test_a_lookup_closes_the_on_screen_keyboard(harness: PageHarness) -> None:
    """On a touch screen the field loses the focus. Without one it keeps the focus for the next ids."""
    with harness.open_page() as page:
        look_up(page, "1")
        assert page.evaluate("document.activeElement.id") == "ids"
        page.call("Emulation.setTouchEmulationEnabled", enabled=True)
        page.wait_for("matchMedia('(pointer: coarse)').matches")
        look_up(page, "2")
        assert page.evaluate("document.activeElement === document.body")


@pytest.mark.parametrize("language", ["en", "ru"])
def test_large_text_is_not_clipped(harness: PageHarness, language: str) -> None:
    """The layout adapts to a narrow window and to twice the text size."""
    clipped = """Array.from(document.querySelectorAll('#results > li, .thumbnail, select, .note b'))
        .filter(({ scrollHeight, clientHeight, scrollWidth, clientWidth }) =>
            scrollHeight > clientHeight + 1 || scrollWidth > clientWidth)
        .map((element) => element.innerText)"""
    with harness.open_page(width=320, height=640, language=language) as page:
        look_up(page, "1 41 77 nope 42")
        page.wait_for("document.querySelectorAll('.note').length === 4")
        for size in ("16px", "32px"):
            page.evaluate(f"document.documentElement.style.fontSize = '{size}'")
            assert page.evaluate(clipped) == []
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_phone_needs_no_horizontal_scrolling(harness: PageHarness, language: str) -> None:
    """This includes long ids, long errors, the dialog and the live view."""
    overflows = "document.documentElement.scrollWidth > innerWidth"
    with harness.open_page(width=360, height=740, language=language) as page:
        page.wait_for("document.querySelector('.host')")
        assert not page.evaluate(overflows)
        look_up(page, f"1 77 {LONG_ID} nope")
        assert not page.evaluate(overflows)
        page.click("[data-state=failed] .card")
        assert not page.evaluate(f"{overflows} || explain.scrollWidth > explain.clientWidth")
