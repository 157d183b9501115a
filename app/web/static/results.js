// The results of a batch: its cards, its progress, and the filter that selects which cards are visible.

import { Card } from "./card.js";
import { byId } from "./dom.js";
import { openExplainDialog } from "./explain.js";
import { formatDuration, translate } from "./i18n.js";

/** The interval between announcements to screen readers, in milliseconds: one per result would be too many. */
const ANNOUNCE_INTERVAL = 5000;

const STATES = ["found", "missing", "failed"];

byId("filter").addEventListener("change", ({ target }) => setFilter(target.value));

/** The view of one batch. */
export class ResultsView {
  #cards;
  #counts = { found: 0, missing: 0, failed: 0 };
  #note;
  #startedAt = performance.now();
  #announcedAt = performance.now();

  /** Shows a card for each id. `note` is appended to every status line. */
  constructor(ids, note) {
    this.#cards = new Map(ids.map((id) => [id, new Card(id, openExplainDialog)]));
    this.#note = note;
    byId("results").replaceChildren(...Array.from(this.#cards.values(), ({ element }) => element));
    byId("progress").hidden = false;
    byId("empty").hidden = true;
    byId("progress-bar").ariaValueMax = String(ids.length);
    setFilter("all");
    this.#render(translate("started", { count: ids.length }));
    this.#announce();
  }

  showLoading(id) {
    this.#cards.get(id).showLoading();
  }

  showResult(result) {
    this.#cards.get(result.id).showResult(result);
    this.#counts[result.state] += 1;
    this.#render(translate("so_far", { done: this.#done, all: this.#cards.size }));
    if (performance.now() - this.#announcedAt >= ANNOUNCE_INTERVAL) this.#announce();
  }

  showFinished() {
    this.#render(translate("finished", { ...this.#counts, time: formatDuration(performance.now() - this.#startedAt) }));
    this.#announce();
  }

  showStopped() {
    for (const card of this.#cards.values()) card.showStopped();
    this.#render(translate("stopped", { ...this.#counts, done: this.#done, all: this.#cards.size }));
    this.#announce();
  }

  get #done() {
    return STATES.reduce((sum, state) => sum + this.#counts[state], 0);
  }

  /** Updates the status line, the progress bar and the numbers of the filter. */
  #render(status) {
    byId("status").textContent = `${status} ${this.#note}`.trim();
    const bar = byId("progress-bar");
    bar.ariaValueNow = String(this.#done);
    bar.ariaValueText = translate("so_far", { done: this.#done, all: this.#cards.size });
    bar.firstElementChild.style.inlineSize = `${(100 * this.#done) / this.#cards.size}%`;
    for (const { value, nextElementSibling } of byId("filter").querySelectorAll("input")) {
      const number = value === "all" ? this.#cards.size : this.#counts[value];
      nextElementSibling.textContent = translate(`filter_${value}`, { number });
    }
    updateNoMatches();
  }

  #announce() {
    this.#announcedAt = performance.now();
    byId("announcement").textContent = byId("status").textContent;
  }
}

/** Removes all cards and shows the empty state. */
export function clearResults() {
  byId("results").replaceChildren();
  byId("progress").hidden = true;
  byId("no-matches").hidden = true;
  byId("empty").hidden = false;
}

/** Shows only the cards in this state, or all of them for "all". */
function setFilter(state) {
  byId("filter").querySelector(`[value="${state}"]`).checked = true;
  byId("results").dataset.filter = state;
  updateNoMatches();
}

/** Shows a message if no card matches the filter. */
function updateNoMatches() {
  const { filter } = byId("results").dataset;
  const hasMatch = filter === "all" || byId("results").querySelector(`:scope > [data-state="${filter}"]`) !== null;
  byId("no-matches").hidden = hasMatch;
}
