// The live view: panels with the service's metrics, fetched from /metrics at intervals while the page is visible.

import { byId } from "./dom.js";
import { formatNumber, formatPercent, translate } from "./i18n.js";
import { Metrics } from "./metrics.js";
import { ChartPanel, OriginsPanel } from "./panels.js";

// All in milliseconds. The second scrape follows soon after the first, since a rate takes two of them.
const FIRST_INTERVAL = 500;
const INTERVAL = 2000;
const RETRY_INTERVAL = 10_000;

/** The cache ratio is computed over this many intervals: over a single one it would fluctuate. */
const RATIO_INTERVALS = 5;

const lookups = new ChartPanel("lookups", formatNumber);
const ratio = new ChartPanel("ratio", formatPercent, 1);
const fetches = new ChartPanel("fetches", formatNumber);
const callers = new ChartPanel("callers", formatNumber);
const origins = new OriginsPanel();

let scrapes = []; // the newest last, each {at, metrics} with `at` in seconds
let timer = null;

/** Starts the live view. It fetches the metrics now and whenever the page becomes visible. */
export function startLiveView() {
  byId("panels").append(...[lookups, ratio, fetches, callers, origins].map(({ element }) => element));
  byId("panels").hidden = true;
  document.addEventListener("visibilitychange", restart);
  restart();
}

function restart() {
  clearTimeout(timer);
  timer = null;
  if (document.visibilityState === "visible") poll();
  else scrapes = [];
}

async function poll() {
  const succeeded = await scrape();
  const delay = !succeeded ? RETRY_INTERVAL : scrapes.length === 1 ? FIRST_INTERVAL : INTERVAL;
  // If the page is hidden by now, polling starts again when it becomes visible. If it was hidden and shown again, two
  // polls were in progress, and only the one that ends first sets the timer.
  if (timer === null && document.visibilityState === "visible") timer = setTimeout(restart, delay);
}

/** Fetches the metrics once and renders them; returns whether that succeeded. */
async function scrape() {
  try {
    // On a timeout the panels are hidden, since their values are out of date.
    const response = await fetch("metrics", { cache: "no-store", signal: AbortSignal.timeout(RETRY_INTERVAL) });
    if (!response.ok) return showUnavailable(response.status === 404 ? "live_absent" : "live_failed");
    render({ at: performance.now() / 1000, metrics: new Metrics(await response.text()) });
    return true;
  } catch {
    return showUnavailable("live_failed");
  }
}

function showUnavailable(key) {
  byId("live-note").textContent = translate(key);
  byId("panels").hidden = true;
  scrapes = [];
  return false;
}

function render(current) {
  byId("live-note").textContent = translate("live_note");
  byId("panels").hidden = false;
  const previous = scrapes.at(-1);
  scrapes = [...scrapes, current].slice(-RATIO_INTERVALS - 1);
  const { at, metrics } = current;
  const notReported = translate("not_reported");
  if (previous === undefined) {
    // There is no earlier scrape to compute rates from, so the charts have a gap here.
    for (const panel of [lookups, ratio, fetches, callers]) panel.add(at, null, translate("measuring"));
  } else {
    const withoutRatio = translate(metrics.samples("covers_lookups_total") === null ? "not_reported" : "no_lookups");
    lookups.add(at, rate(previous, current, "covers_lookups_total"), notReported);
    fetches.add(at, rate(previous, current, "covers_fetches_total"), notReported);
    ratio.add(at, cacheRatio(scrapes[0], current), withoutRatio);
  }
  callers.add(at, metrics.sum("covers_waiting"), notReported);
  origins.render(metrics.samples("covers_circuit_open"), metrics.samples("covers_host_throttled"));
}

/** Returns the increase of a counter per second; null if it is unknown, for example after a restart of the service. */
function rate(previous, current, name) {
  const delta = increase(previous, current, name);
  return delta === null ? null : delta / (current.at - previous.at);
}

/** Returns the share of lookups between two scrapes that needed no fetch; null if there were none. */
function cacheRatio(previous, current) {
  const all = increase(previous, current, "covers_lookups_total");
  const fetched = increase(previous, current, "covers_lookups_total", ({ cache }) => cache === "fetched");
  return all ? 1 - fetched / all : null;
}

function increase(previous, current, name, matches) {
  const [before, after] = [previous.metrics.sum(name, matches), current.metrics.sum(name, matches)];
  if (after === null) return null;
  const delta = after - (before ?? 0); // a counter is absent until it first counts
  return delta < 0 ? null : delta;
}
