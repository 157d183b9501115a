// The cards on the shelf: one for each id, from the moment that it is asked for to its cover or the reason why not.

import { isWeb, make } from "./elements.js";
import { duration, hasText, text } from "./texts.js";

/** The card of an id. Its `element` stands on the shelf; `explain` is called with the answer when it is chosen. */
export class Card {
  #button = make("button", { type: "button", class: "card" });
  #sleeve = make("span", { class: "sleeve" });
  #facts = make("span", { class: "facts" });
  #answer = null;

  constructor(id, explain) {
    this.#button.append(this.#sleeve, make("span", { class: "id", title: id, dir: "auto" }, id), this.#facts);
    this.#button.addEventListener("click", () => explain(this.#answer));
    this.element = make("li", {}, this.#button);
    this.wait();
  }

  /** Shows that it has not been its turn yet. */
  wait() {
    this.#become("waiting");
    this.#facts.replaceChildren(text("waiting"));
  }

  /** Shows that it is being looked up. */
  begin() {
    this.#become("asking");
    this.#sleeve.replaceChildren(make("span", { class: "disc" }));
    this.#facts.replaceChildren("…");
  }

  /** Shows that it will not be looked up any more, unless it has been. */
  stop() {
    if (this.#answer !== null) return;
    this.#become("stopped");
    this.#sleeve.replaceChildren();
    this.#facts.replaceChildren(text("cut_off"));
  }

  /** Shows what came of it. */
  show(answer) {
    this.#answer = answer;
    this.#become(answer.kind);
    this.#sleeve.replaceChildren(...(answer.kind === "found" ? pictureOf(answer) : reasonOf(answer)));
    const cache = answer.record?.cache ?? "";
    this.#facts.replaceChildren(
      make("span", { class: "cache", "data-cache": cache }, cache && cacheName(cache)),
      make("span", {}, duration(answer.took)),
    );
  }

  #become(kind) {
    this.element.dataset.kind = kind;
    this.#button.disabled = this.#answer === null;
    this.#button.ariaBusy = kind === "asking" ? "true" : null;
  }
}

/** Returns what stands in the sleeve of a cover that was found: its picture; if that cannot be shown, words. */
export function pictureOf(answer) {
  const words = () => note(text("broken_picture"), answer.record.url ?? "");
  if (!isWeb(answer.record.url)) return words();
  const picture = make("img", { alt: text("reasons.found"), decoding: "async", loading: "lazy" });
  picture.addEventListener("load", () => picture.classList.add("there"));
  picture.addEventListener("error", () => picture.parentElement?.replaceChildren(...words()));
  picture.src = answer.record.url;
  return [make("span", { class: "record" }), picture];
}

/** Returns what stands in the sleeve where there is no cover: why, in our words and the service's. */
function reasonOf(answer) {
  return note(reasonName(answer.reason), answer.error);
}

/** Returns a reason in words; one that is not known here, by its name. */
export function reasonName(reason) {
  return hasText("reasons", reason) ? text(`reasons.${reason}`) : reason;
}

function cacheName(cache) {
  return hasText("caches", cache) ? text(`caches.${cache}`) : cache;
}

function note(words, error) {
  const note = make("span", { class: "note" }, make("b", {}, words));
  if (error !== "") note.append(make("span", { lang: "en" }, error));
  return [note];
}
