// The panels of the live view: numbers with charts, and the health of the origins.

import { createElement, createSvgElement } from "./dom.js";
import { translate } from "./i18n.js";

/** The time range of a chart in seconds. */
const TIME_RANGE = 60;

/** The number of origins that are listed. */
const MAX_ORIGINS = 5;

/** The states of an origin in the order in which they are listed. */
const STATES = ["failing", "throttled", "healthy"];

const WIDTH = 240;
const HEIGHT = 56;

/** A panel with the current value of a metric and a chart of the last minute. */
export class ChartPanel {
  #name;
  #format;
  #limit;
  #points = []; // the newest last, each {at, value}
  #number = createElement("p", { class: "number" }, "–");
  #note = createElement("p", { class: "hint" });
  #line = createSvgElement("path", { class: "line" });
  #chart;
  #area = createSvgElement("path", { class: "area" });

  /** `limit` is the value at the top of the chart; null scales the chart to its largest value. */
  constructor(name, format, limit = null) {
    this.#name = name;
    this.#format = format;
    this.#limit = limit;
    this.#chart = createSvgElement(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", class: "chart" },
      this.#area,
      this.#line,
    );
    const heading = createElement("h3", {}, translate(name));
    this.element = createElement("section", { class: "panel" }, heading, this.#number, this.#chart, this.#note);
  }

  /** Adds the value at a time in seconds. If it is null, the chart has a gap there and the note is `reason`. */
  add(at, value, reason) {
    this.#points = [...this.#points, { at, value }].filter((point) => at - point.at <= TIME_RANGE);
    const peak = Math.max(0, ...this.#points.map((point) => point.value)); // null counts as 0
    this.#drawChart(this.#limit ?? (peak || 1));
    if (value === null) this.#setText("–", reason);
    else this.#setText(this.#format(value), translate("peak", { number: this.#format(peak) }));
  }

  #setText(number, note) {
    this.#number.textContent = number;
    this.#note.textContent = note;
    this.#chart.ariaLabel = translate("chart", { name: translate(this.#name), number, note });
  }

  #drawChart(top) {
    const now = this.#points.at(-1).at;
    const points = this.#points.map(({ at, value }) =>
      value === null ? null : [WIDTH * (1 - (now - at) / TIME_RANGE), HEIGHT - 1 - (value / top) * (HEIGHT - 3)],
    );
    const segments = splitAtGaps(points);
    this.#line.setAttribute("d", segments.map(pathOf).join(""));
    this.#area.setAttribute(
      "d",
      segments.map((segment) => `${pathOf(segment)}V${HEIGHT}H${segment[0][0].toFixed(1)}Z`).join(""),
    );
  }
}

/** The panel with the health of the origins. */
export class OriginsPanel {
  #list = createElement("ul", { class: "hosts" });
  #note = createElement("p", { class: "hint" });

  constructor() {
    const heading = createElement("h3", {}, translate("origins"));
    this.element = createElement("section", { class: "panel origins" }, heading, this.#list, this.#note);
  }

  /**
   * Lists the hosts, first those with an open circuit, then those that throttle the service. Both arguments are samples
   * by host with the value 0 or 1, or null if the metric is not reported.
   */
  render(circuitOpen, throttled) {
    const throttledHosts = new Set((throttled ?? []).filter(({ value }) => value > 0).map(({ labels }) => labels.host));
    const hosts = (circuitOpen ?? [])
      .map(({ labels: { host = "" }, value }) => ({
        host,
        state: value > 0 ? "failing" : throttledHosts.has(host) ? "throttled" : "healthy",
      }))
      .toSorted((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state));
    this.#list.replaceChildren(...hosts.slice(0, MAX_ORIGINS).map(createHostItem));
    if (circuitOpen === null) this.#note.textContent = translate("not_reported");
    else if (hosts.length === 0) this.#note.textContent = translate("no_hosts");
    else if (hosts.length <= MAX_ORIGINS) this.#note.textContent = "";
    else this.#note.textContent = translate("more_hosts", { count: hosts.length - MAX_ORIGINS });
  }
}

function createHostItem({ host, state }) {
  const item = createElement("li", { "data-state": state }, createElement("span", { class: "host" }, host));
  if (state !== "healthy") item.append(createElement("span", { class: "hint" }, translate(`host_${state}`)));
  return item;
}

/** Splits points at null, and returns the segments that are not empty. */
function splitAtGaps(points) {
  const segments = [[]];
  for (const point of points) {
    if (point === null) segments.push([]);
    else segments.at(-1).push(point);
  }
  return segments.filter((segment) => segment.length > 0);
}

function pathOf(segment) {
  return `M${segment.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;
}
