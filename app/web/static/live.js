// The live view: what /metrics says, asked again and again while somebody looks.

import { draw, here, make } from "./elements.js";
import { Reading } from "./metrics.js";
import { percent, quantity, text } from "./texts.js";

// All in milliseconds. What is told of a second takes two readings, so the second follows soon.
const SECOND = 500;
const EVERY = 2000;
const AFTER_FAILURE = 10_000;

/** So many points a chart has at most: a minute. */
const POINTS = 30;

/** The share of answers without the origin is taken over so many readings: of two seconds alone it would jump. */
const SHARE_OF = 5;

/** So many origins are named. */
const HOSTS = 5;

const WIDTH = 240;
const HEIGHT = 56;

/** A tile with a number and its chart. */
class Tile {
  #values = [];
  #number = make("p", { class: "number" }, "–");
  #peak = make("p", { class: "hint" });
  #line = draw("path", { class: "line" });
  #area = draw("path", { class: "area" });

  /** `most` is the largest value that there can be; null: there is no such. */
  constructor(name, format, most = null) {
    this.name = name;
    this.format = format;
    this.most = most;
    this.chart = draw(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", class: "chart" },
      this.#area,
      this.#line,
    );
    this.element = make("section", { class: "tile" }, make("h3", {}, text(name)), this.#number, this.chart, this.#peak);
    this.#say("–", text("learning"));
  }

  /** Shows one value more; null: it is not known, and `instead` says why. */
  add(value, instead) {
    this.#values = [...this.#values, value].slice(-POINTS);
    const known = this.#values.filter((one) => one !== null);
    const largest = Math.max(0, ...known);
    this.#draw(this.most ?? (largest || 1));
    if (value === null) this.#say("–", instead);
    else this.#say(this.format(value), text("peak", { number: this.format(largest) }));
  }

  #say(number, remark) {
    this.#number.textContent = number;
    this.#peak.textContent = remark;
    this.chart.ariaLabel = text("chart", { name: text(this.name), number, remark });
  }

  #draw(most) {
    const step = WIDTH / (POINTS - 1);
    const first = POINTS - this.#values.length;
    const points = this.#values.map((value, place) =>
      value === null ? null : [(first + place) * step, HEIGHT - 2 - (value / most) * (HEIGHT - 4)],
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
class Origins {
  #list = make("ul", { class: "hosts" });
  #note = make("p", { class: "hint" });

  constructor() {
    this.element = make("section", { class: "tile origins" }, make("h3", {}, text("origins")), this.#list, this.#note);
  }

  /** Shows the hosts, those that are left alone first; null: it is not known. */
  show(hosts) {
    const sorted = (hosts ?? []).toSorted((one, other) => other.value - one.value);
    const shown = sorted.slice(0, HOSTS).map(({ labels, value }) => hostOf(labels.host ?? "", value > 0));
    this.#list.replaceChildren(...shown);
    if (hosts === null) this.#note.textContent = text("untold");
    else if (sorted.length === 0) this.#note.textContent = text("no_hosts");
    else this.#note.textContent = sorted.length > HOSTS ? text("more_hosts", { count: sorted.length - HOSTS }) : "";
  }
}

function hostOf(host, isOpen) {
  const words = make("span", { class: "hint" }, text(isOpen ? "host_open" : "host_well"));
  return make("li", { "data-open": String(isOpen) }, make("span", { class: "host" }, host), words);
}

const lookups = new Tile("lookups", quantity);
const ratio = new Tile("ratio", percent, 1);
const fetches = new Tile("fetches", quantity);
const callers = new Tile("callers", quantity);
const origins = new Origins();

let readings = []; // the newest last, each {at, reading}
let timer = null;

/** Begins to ask, now and whenever the page comes into view. */
export function watch() {
  here("tiles").append(...[lookups, ratio, fetches, callers, origins].map(({ element }) => element));
  here("tiles").hidden = true;
  document.addEventListener("visibilitychange", goOn);
  goOn();
}

function goOn() {
  clearTimeout(timer);
  timer = null;
  if (document.visibilityState === "visible") ask();
  else readings = [];
}

async function ask() {
  const isSaid = await isTold();
  const pause = !isSaid ? AFTER_FAILURE : readings.length === 1 ? SECOND : EVERY;
  // Where the page went out of view meanwhile, it is asked again when it comes back; where it did both, it is already.
  if (timer === null && document.visibilityState === "visible") timer = setTimeout(goOn, pause);
}

/** Asks once and shows the answer; tells whether there was one. */
async function isTold() {
  try {
    const response = await fetch("metrics", { cache: "no-store" });
    if (!response.ok) return fail(response.status === 404 ? "live_absent" : "live_failed");
    show({ at: performance.now() / 1000, reading: new Reading(await response.text()) });
    return true;
  } catch {
    return fail("live_failed");
  }
}

function fail(name) {
  here("live-note").textContent = text(name);
  here("tiles").hidden = true;
  readings = [];
  return false;
}

function show(newest) {
  here("live-note").textContent = text("live_quiet");
  here("tiles").hidden = false;
  const before = readings.at(-1);
  readings = [...readings, newest].slice(-SHARE_OF - 1);
  const instead = text("untold");
  const { reading } = newest;
  if (before !== undefined) {
    lookups.add(rate(before, newest, "covers_lookups_total"), instead);
    fetches.add(rate(before, newest, "covers_fetches_total"), instead);
    ratio.add(share(readings[0], newest), text(reading.of("covers_lookups_total") === null ? "untold" : "no_lookups"));
  }
  callers.add(reading.sum("covers_waiting"), instead);
  origins.show(reading.of("covers_circuit_open"));
}

/** Returns how much a counter grew in a second; null where it is not known, as after a restart. */
function rate(before, now, name) {
  const grown = growth(before, now, name);
  return grown === null ? null : grown / (now.at - before.at);
}

/** Returns which share of the lookups in between was answered without the origin; null where there were none. */
function share(before, now) {
  const all = growth(before, now, "covers_lookups_total");
  const fetched = growth(before, now, "covers_lookups_total", ({ cache }) => cache === "fetched");
  return all ? 1 - fetched / all : null;
}

function growth(before, now, name, isMeant) {
  const [then, since] = [before.reading.sum(name, isMeant), now.reading.sum(name, isMeant)];
  if (since === null) return null;
  const grown = since - (then ?? 0); // a counter appears when it first counts
  return grown < 0 ? null : grown;
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
