"""The live view: what /metrics says, drawn."""

import json

import pytest

from tests.support.browser import Page
from tests.web.page_harness import PageHarness, metrics


def test_the_live_view_draws(stage: PageHarness) -> None:
    """Numbers and charts of what /metrics says; origins that are left alone come first, and say why."""
    with stage.visit() as visited:
        visited.until("document.querySelectorAll('.chart .line[d^=M]').length === 4")
        lookups, ratio, fetches, callers = visited.texts(".tile .number")
        assert float(lookups) > 0
        assert (ratio, fetches, callers) == ("90%", "0", "3")
        assert visited.texts(".hosts li") == [
            "sad.example\nleft alone, it fails",
            "tired.example\nasked us to wait",
            "well.example",
        ]
        assert visited.value("document.querySelector('.chart').ariaLabel").startswith(f"Lookups a second: {lookups}, ")
        assert visited.errors == []


def test_the_live_view_does_with_what_there_is(stage: PageHarness) -> None:
    """A metric that is not told is said to be so, and spoils none of the others."""
    with stage.visit(intercept=metrics("odd {{ line\ncovers_waiting 7\n")) as visited:
        visited.until("document.querySelector('.tile .hint').innerText === 'not told'")
        assert visited.texts(".tile .number") == [*["\N{EN DASH}"] * 3, "7"]
        assert visited.text(".origins .hint") == "not told"
        assert visited.errors == []


@pytest.mark.parametrize(
    ("status", "words"), [(404, "the service has no /metrics"), (503, "the service does not answer")]
)
def test_without_metrics_the_page_says_so(stage: PageHarness, status: int, words: str) -> None:
    def absent(url: str, _body: str) -> tuple[int, str, str] | None:
        return (status, "text/plain", "no") if url.endswith("/metrics") else None

    with stage.visit(intercept=absent) as visited:
        visited.until("document.querySelector('#live-note').innerText")
        assert words in visited.text("#live-note")
        assert visited.value("tiles.hidden")


def test_out_of_view_it_asks_nothing(stage: PageHarness) -> None:
    """No timer is left that would ask; and it asks at once when it is looked at again."""
    asked = 0
    told = metrics()

    def count(url: str, body: str) -> tuple[int, str, str] | None:
        nonlocal asked
        asked += url.endswith("/metrics")
        return told(url, body)

    with stage.visit(intercept=count) as visited:
        visited.until("document.querySelector('.host')")
        visited.value(WATCH_TIMERS)
        for _ in range(2):
            visited.value("turn('hidden')")
            assert visited.value("timers.size") == 0
            before = asked
            visited.value("turn('visible')")
            visited.until("timers.size === 1")
            assert asked == before + 1


def test_the_charts_tell_when_nobody_looked(stage: PageHarness) -> None:
    """Their line has a gap there; and what is older than the minute that they show is gone."""
    runs = f"document.querySelectorAll('{CALLERS} .line')[0].getAttribute('d').split('M').length - 1"
    with stage.visit() as visited:
        visited.until("document.querySelector('.host')")
        assert visited.value(runs) == 1
        visited.value(WATCH_TIMERS)
        for seconds, expected in ((0, 2), (61, 1)):
            visited.value("turn('hidden')")
            visited.value(
                f"(() => {{ const now = performance.now() + {seconds * 1000}; performance.now = () => now; }})()"
            )
            visited.value("turn('visible')")
            visited.until("timers.size === 1")
            assert visited.value(runs) == expected


CALLERS = ".tile:nth-of-type(4)"


def test_a_service_that_hangs_does_not_seem_well(stage: PageHarness) -> None:
    """What is shown of it does not stay as if it were still so."""
    with stage.visit() as visited:
        visited.until("document.querySelector('.host')")
        visited.value(WATCH_TIMERS)
        visited.value("turn('hidden')")
        visited.value(
            """(() => {
                const ending = window.ending = new AbortController();
                AbortSignal.timeout = () => ending.signal;
                window.fetch = (_, { signal }) => new Promise((_, refuse) => {
                    signal?.addEventListener("abort", () => refuse(signal.reason));
                });
                turn("visible");
                ending.abort(new DOMException("", "TimeoutError"));
            })()"""
        )
        visited.until("tiles.hidden")
        assert "the service does not answer" in visited.text("#live-note")


#: ``timers`` are those that wait for longer than a moment; ``turn`` has the page come into view, or go out of it.
WATCH_TIMERS = """(() => {
    const { setTimeout: set, clearTimeout: clear } = window;
    window.timers = new Set();
    window.clearTimeout = (timer) => { timers.delete(timer); clear(timer); };
    window.setTimeout = (go, delay) => {
        const timer = set(() => { timers.delete(timer); go(); }, delay);
        if (delay > 100) timers.add(timer);
        return timer;
    };
    window.turn = (state) => {
        Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    };
})()"""


#: What the text format allows, and what is no line of it.
WORDY = r"""
# HELP a_total Words.
# TYPE a_total counter
# TYPE never_total counter
a_total{host="x\"y\\z\n",other="}, {"} 1.5e3 1700000000
a_total 2
inf_bucket{le="+Inf"} +Inf
broken{ 1
9 1
"""


def test_metrics_are_read_to_the_letter(modules: Page) -> None:
    """Escapes, blanks, times, infinities; what is no line of it is passed over."""
    told = modules.value(
        f"""import('/static/metrics.js').then(({{ Reading }}) => {{
            const reading = new Reading({json.dumps(WORDY)});
            return [reading.of("a_total"), reading.sum("a_total"), reading.sum("a_total", ({{ host }}) => host),
                    reading.sum("inf_bucket") === Infinity, reading.sum("never_total"), reading.sum("broken")];
        }})"""
    )
    samples = [{"labels": {"host": 'x"y\\z\n', "other": "}, {"}, "value": 1500}, {"labels": {}, "value": 2}]
    assert told == [samples, 1502, 1500, True, 0, None]
