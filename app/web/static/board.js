// The board: the shelf with the cards of a round, how far it is, and which of them are shown.

import { Card } from "./cards.js";
import { here } from "./elements.js";
import { explain } from "./explain.js";
import { duration, text } from "./texts.js";

/** Screen readers hear of the progress so often, in milliseconds: a word for each cover would drown all others. */
const SPOKEN_EVERY = 5000;

const KINDS = ["found", "missing", "failed"];

here("filter").addEventListener("change", ({ target }) => choose(target.value));

/** What is shown of one round. Its methods are told what happens in it. */
export class Board {
  #cards;
  #counts = { found: 0, missing: 0, failed: 0 };
  #remark;
  #began = performance.now();
  #spoken = performance.now();

  /** Lays the cards of these ids; `remark` stands behind whatever is said of the round. */
  constructor(ids, remark) {
    this.#cards = new Map(ids.map((id) => [id, new Card(id, explain)]));
    this.#remark = remark;
    here("shelf").replaceChildren(...Array.from(this.#cards.values(), ({ element }) => element));
    here("round").hidden = false;
    here("empty").hidden = true;
    here("bar").ariaValueMax = String(ids.length);
    choose("all");
    this.#tell(text("asking", { count: ids.length }));
    this.#speak();
  }

  began(id) {
    this.#cards.get(id).begin();
  }

  answered(answer) {
    this.#cards.get(answer.id).show(answer);
    this.#counts[answer.kind] += 1;
    this.#tell(text("so_far", { done: this.#done, all: this.#cards.size }));
    if (performance.now() - this.#spoken >= SPOKEN_EVERY) this.#speak();
  }

  ended() {
    this.#tell(text("done", { ...this.#counts, time: duration(performance.now() - this.#began) }));
    this.#speak();
  }

  stopped() {
    for (const card of this.#cards.values()) card.stop();
    this.#tell(text("stopped", { ...this.#counts, done: this.#done, all: this.#cards.size }));
    this.#speak();
  }

  get #done() {
    return KINDS.reduce((sum, kind) => sum + this.#counts[kind], 0);
  }

  #tell(line) {
    here("status").textContent = `${line} ${this.#remark}`.trim();
    const bar = here("bar");
    bar.ariaValueNow = String(this.#done);
    bar.ariaValueText = text("so_far", { done: this.#done, all: this.#cards.size });
    bar.firstElementChild.style.inlineSize = `${(100 * this.#done) / this.#cards.size}%`;
    for (const { value, nextElementSibling } of here("filter").querySelectorAll("input")) {
      const number = value === "all" ? this.#cards.size : this.#counts[value];
      nextElementSibling.textContent = text(`show_${value}`, { number });
    }
    mention();
  }

  #speak() {
    this.#spoken = performance.now();
    here("spoken").textContent = here("status").textContent;
  }
}

/** Clears the board. */
export function clearBoard() {
  here("shelf").replaceChildren();
  here("round").hidden = true;
  here("nothing").hidden = true;
  here("empty").hidden = false;
}

/** Shows the cards of this kind alone, or "all". */
function choose(kind) {
  here("filter").querySelector(`[value="${kind}"]`).checked = true;
  here("shelf").dataset.show = kind;
  mention();
}

/** Says so where none of the cards are of the kind that is shown. */
function mention() {
  const { show } = here("shelf").dataset;
  here("nothing").hidden = show === "all" || here("shelf").querySelector(`:scope > [data-kind="${show}"]`) !== null;
}
