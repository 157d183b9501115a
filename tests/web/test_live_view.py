"""The live view: panels and charts of the service's metrics."""

import json

import pytest

from tests.support.browser import Page
from tests.web.page_harness import PageHarness, serve_metrics


def test_the_live_view_shows_metrics(harness: PageHarness) -> None:
    """It shows numbers, charts, and the origins: first those that are not contacted, with the reason."""
    with harness.open_page() as page:
        page.wait_for("document.querySelectorAll('.chart .line[d^=M]').length === 4")
        lookups, ratio, fetches, callers = page.texts(".panel .number")
        assert float(lookups) > 0
        assert (ratio, fetches, callers) == ("90%", "0", "3")
        assert page.texts(".hosts li") == [
            "failing.example\nfailing, not contacted",
            "throttled.example\nasked us to wait",
            "healthy.example",
        ]
        assert page.evaluate("document.querySelector('.chart').ariaLabel").startswith(f"Lookups a second: {lookups}, ")
        assert page.errors == []


def test_missing_metrics_are_marked_as_not_reported(harness: PageHarness) -> None:
    """They do not affect the other metrics."""
    with harness.open_page(intercept=serve_metrics("odd {{ line\ncovers_waiting 7\n")) as page:
        page.wait_for("document.querySelector('.panel .hint').innerText === 'not reported'")
        assert page.texts(".panel .number") == [*["\N{EN DASH}"] * 3, "7"]
        assert page.text(".origins .hint") == "not reported"
        assert page.errors == []


@pytest.mark.parametrize(
    ("status", "message"), [(404, "the service has no /metrics"), (503, "the service does not answer")]
)
def test_unavailable_metrics_are_reported(harness: PageHarness, status: int, message: str) -> None:
    def fail(url: str, _body: str) -> tuple[int, str, str] | None:
        return (status, "text/plain", "no") if url.endswith("/metrics") else None

    with harness.open_page(intercept=fail) as page:
        page.wait_for("document.querySelector('#live-note').innerText")
        assert message in page.text("#live-note")
        assert page.evaluate("panels.hidden")


def test_a_hidden_page_does_not_poll(harness: PageHarness) -> None:
    """It has no timer, and it polls at once when it becomes visible."""
    scrapes = 0
    fake_metrics = serve_metrics()

    def count(url: str, body: str) -> tuple[int, str, str] | None:
        nonlocal scrapes
        scrapes += url.endswith("/metrics")
        return fake_metrics(url, body)

    with harness.open_page(intercept=count) as page:
        page.wait_for("document.querySelector('.host')")
        page.evaluate(TRACK_TIMERS)
        for _ in range(2):
            page.evaluate("setVisibility('hidden')")
            assert page.evaluate("timers.size") == 0
            before = scrapes
            page.evaluate("setVisibility('visible')")
            page.wait_for("timers.size === 1")
            assert scrapes == before + 1


def test_charts_have_a_gap_while_the_page_was_hidden(harness: PageHarness) -> None:
    """Points that are older than a minute are removed."""
    segments = f"document.querySelectorAll('{CALLERS} .line')[0].getAttribute('d').split('M').length - 1"
    with harness.open_page() as page:
        page.wait_for("document.querySelector('.host')")
        assert page.evaluate(segments) == 1
        page.evaluate(TRACK_TIMERS)
        for seconds, expected in ((0, 2), (61, 1)):
            page.evaluate("setVisibility('hidden')")
            page.evaluate(
                f"(() => {{ const now = performance.now() + {seconds * 1000}; performance.now = () => now; }})()"
            )
            page.evaluate("setVisibility('visible')")
            page.wait_for("timers.size === 1")
            assert page.evaluate(segments) == expected


CALLERS = ".panel:nth-of-type(4)"


def test_a_hanging_service_is_reported(harness: PageHarness) -> None:
    """The panels do not keep showing old values."""
    with harness.open_page() as page:
        page.wait_for("document.querySelector('.host')")
        page.evaluate(TRACK_TIMERS)
        page.evaluate("setVisibility('hidden')")
        page.evaluate(
            """(() => {
                const controller = window.controller = new AbortController();
                AbortSignal.timeout = () => controller.signal;
                window.fetch = (_, { signal }) => new Promise((_, reject) => {
                    signal?.addEventListener("abort", () => reject(signal.reason));
                });
                setVisibility("visible");
                controller.abort(new DOMException("", "TimeoutError"));
            })()"""
        )
        page.wait_for("panels.hidden")
        assert "the service does not answer" in page.text("#live-note")


#: ``timers`` has the pending timers of more than 100 ms; ``setVisibility`` shows or hides the page.
TRACK_TIMERS = """(() => {
    const { setTimeout: set, clearTimeout: clear } = window;
    window.timers = new Set();
    window.clearTimeout = (timer) => { timers.delete(timer); clear(timer); };
    window.setTimeout = (callback, delay) => {
        const timer = set(() => { timers.delete(timer); callback(); }, delay);
        if (delay > 100) timers.add(timer);
        return timer;
    };
    window.setVisibility = (state) => {
        Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    };
})()"""


#: Samples with everything that the text format allows, and malformed lines.
EXPOSITION = r"""
# HELP a_total Help text.
# TYPE a_total counter
# TYPE never_total counter
a_total{host="x\"y\\z\n",other="}, {"} 1.5e3 1700000000
a_total 2
inf_bucket{le="+Inf"} +Inf
broken{ 1
9 1
"""


def test_the_text_format_is_parsed_in_full(module_page: Page) -> None:
    """It covers escapes, white space, timestamps and infinities. Malformed lines are ignored."""
    results = module_page.evaluate(
        f"""import('/static/metrics.js').then(({{ Metrics }}) => {{
            const metrics = new Metrics({json.dumps(EXPOSITION)});
            return [metrics.samples("a_total"), metrics.sum("a_total"), metrics.sum("a_total", ({{ host }}) => host),
                    metrics.sum("inf_bucket") === Infinity, metrics.sum("never_total"), metrics.sum("broken")];
        }})"""
    )
    samples = [{"labels": {"host": 'x"y\\z\n', "other": "}, {"}, "value": 1500}, {"labels": {}, "value": 2}]
    assert results == [samples, 1502, 1500, True, 0, None]
