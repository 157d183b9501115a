// The live view: what /metrics says, asked again and again while somebody looks.

import { here } from "./elements.js";
import { Reading } from "./metrics.js";
import { percent, quantity, text } from "./texts.js";
import { Origins, Tile } from "./tiles.js";

// All in milliseconds. What is told of a second takes two readings, so the second follows soon.
const SECOND = 500;
const EVERY = 2000;
const AFTER_FAILURE = 10_000;

/** The share of answers without the origin is taken over so many readings: of two seconds alone it would jump. */
const SHARE_OF = 5;

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
    // One that takes longer than this does not answer, and what is shown of it is old.
    const response = await fetch("metrics", { cache: "no-store", signal: AbortSignal.timeout(AFTER_FAILURE) });
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
  const { at, reading } = newest;
  if (before === undefined) {
    // What came before, if anything did, was before nobody looked or nobody answered.
    for (const tile of [lookups, ratio, fetches, callers]) tile.add(at, null, text("learning"));
  } else {
    const withoutRatio = text(reading.of("covers_lookups_total") === null ? "untold" : "no_lookups");
    lookups.add(at, rate(before, newest, "covers_lookups_total"), instead);
    fetches.add(at, rate(before, newest, "covers_fetches_total"), instead);
    ratio.add(at, share(readings[0], newest), withoutRatio);
  }
  callers.add(at, reading.sum("covers_waiting"), instead);
  origins.show(reading.of("covers_circuit_open"), reading.of("covers_host_throttled"));
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
