// The tiles of the live view: a number with its chart, and the origins.

import { draw, make } from "./elements.js";
import { text } from "./texts.js";

/** So many seconds a chart shows. */
const SPAN = 60;

/** So many origins are named. */
const HOSTS = 5;

/** What an origin can be, the worst first. */
const STATES = ["fails", "waits", "well"];

const WIDTH = 240;
const HEIGHT = 56;

/** A tile with a number and its chart. */
export class Tile {
  #name;
  #format;
  #most;
  #points = []; // the newest last, each {at, value}
  #number = make("p", { class: "number" }, "–");
  #peak = make("p", { class: "hint" });
  #line = draw("path", { class: "line" });
  #chart;
  #area = draw("path", { class: "area" });

  /** `most` is the largest value that there can be; null: there is no such. */
  constructor(name, format, most = null) {
    this.#name = name;
    this.#format = format;
    this.#most = most;
    this.#chart = draw(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", class: "chart" },
      this.#area,
      this.#line,
    );
    this.element = make("section", { class: "tile" }, make("h3", {}, text(name)), this.#number, this.#chart, this.#peak);
  }

  /** Shows one value more, of this second; null: it is not known, and `instead` says why. The line has a gap there. */
  add(at, value, instead) {
    this.#points = [...this.#points, { at, value }].filter((point) => at - point.at <= SPAN);
    const largest = Math.max(0, ...this.#points.map((point) => point.value)); // null counts as 0
    this.#draw(this.#most ?? (largest || 1));
    if (value === null) this.#say("–", instead);
    else this.#say(this.#format(value), text("peak", { number: this.#format(largest) }));
  }

  #say(number, remark) {
    this.#number.textContent = number;
    this.#peak.textContent = remark;
    this.#chart.ariaLabel = text("chart", { name: text(this.#name), number, remark });
  }

  #draw(most) {
    const now = this.#points.at(-1).at;
    const points = this.#points.map(({ at, value }) =>
      value === null ? null : [WIDTH * (1 - (now - at) / SPAN), HEIGHT - 1 - (value / most) * (HEIGHT - 3)],
    );
    const runs = runsOf(points);
    this.#line.setAttribute("d", runs.map(pathOf).join(""));
    this.#area.setAttribute(
      "d",
      runs.map((run) => `${pathOf(run)}V${HEIGHT}H${run[0][0].toFixed(1)}Z`).join(""),
    );
  }
}

/** The tile of the origins' health. */
export class Origins {
  #list = make("ul", { class: "hosts" });
  #note = make("p", { class: "hint" });

  constructor() {
    this.element = make("section", { class: "tile origins" }, make("h3", {}, text("origins")), this.#list, this.#note);
  }

  /** Shows the hosts, those that are left alone first, by who fails and who has asked to wait; null: it is not known. */
  show(failing, waiting) {
    const waits = new Set((waiting ?? []).filter(({ value }) => value > 0).map(({ labels }) => labels.host));
    const sorted = (failing ?? [])
      .map(({ labels: { host = "" }, value }) => [host, value > 0 ? "fails" : waits.has(host) ? "waits" : "well"])
      .toSorted(([, one], [, other]) => STATES.indexOf(one) - STATES.indexOf(other));
    this.#list.replaceChildren(...sorted.slice(0, HOSTS).map(([host, state]) => hostOf(host, state)));
    if (failing === null) this.#note.textContent = text("untold");
    else if (sorted.length === 0) this.#note.textContent = text("no_hosts");
    else this.#note.textContent = sorted.length > HOSTS ? text("more_hosts", { count: sorted.length - HOSTS }) : "";
  }
}

function hostOf(host, state) {
  const words = state === "well" ? [] : [make("span", { class: "hint" }, text(`host_${state}`))];
  return make("li", { "data-state": state }, make("span", { class: "host" }, host), ...words);
}

/** Returns the points as runs without a gap. */
function runsOf(points) {
  const runs = [[]];
  for (const point of points) {
    if (point === null) runs.push([]);
    else runs.at(-1).push(point);
  }
  return runs.filter((run) => run.length > 0);
}

function pathOf(run) {
  return `M${run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;
}
