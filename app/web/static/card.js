// The card of one id: it shows the state of the lookup, and then the cover or the reason why there is none.

import { createElement, isHttpUrl } from "./dom.js";
import { formatDuration, hasTranslation, translate } from "./i18n.js";

/** A card. `element` is its list item; a click on a card that has a result calls `onSelect(result)`. */
export class Card {
  #button = createElement("button", { type: "button", class: "card" });
  #thumbnail = createElement("span", { class: "thumbnail" });
  #facts = createElement("span", { class: "facts" });
  #result = null;

  constructor(id, onSelect) {
    const label = createElement("span", { class: "id", title: id, dir: "auto" }, id);
    this.#button.append(this.#thumbnail, label, this.#facts);
    this.#button.addEventListener("click", () => onSelect(this.#result));
    this.element = createElement("li", {}, this.#button);
    this.#setState("queued");
    this.#facts.replaceChildren(translate("card_queued"));
  }

  showLoading() {
    this.#setState("loading");
    this.#thumbnail.replaceChildren(createElement("span", { class: "spinner" }));
    this.#facts.replaceChildren("…");
  }

  /** Shows that the lookup was cancelled, unless the card has a result. */
  showStopped() {
    if (this.#result !== null) return;
    this.#setState("stopped");
    this.#thumbnail.replaceChildren();
    this.#facts.replaceChildren(translate("card_stopped"));
  }

  showResult(result) {
    this.#result = result;
    this.#setState(result.state);
    this.#thumbnail.replaceChildren(...(result.state === "found" ? createPicture(result) : createReason(result)));
    const cache = result.record?.cache ?? "";
    this.#facts.replaceChildren(
      createElement("span", { class: "cache", "data-cache": cache }, cache && cacheLabel(cache)),
      createElement("span", {}, formatDuration(result.duration)),
    );
  }

  #setState(state) {
    this.element.dataset.state = state;
    this.#button.disabled = this.#result === null;
    this.#button.ariaBusy = state === "loading" ? "true" : null;
  }
}

/** Returns the content of the thumbnail of a found cover: its image, or a note if the image cannot be shown. */
export function createPicture(result) {
  const note = () => createNote(translate("broken_picture"), result.record.url ?? "");
  if (!isHttpUrl(result.record.url)) return note();
  const image = createElement("img", { alt: translate("reasons.found"), decoding: "async", loading: "lazy" });
  image.addEventListener("load", () => image.classList.add("loaded"));
  image.addEventListener("error", () => image.parentElement?.replaceChildren(...note()));
  image.src = result.record.url;
  return [createElement("span", { class: "vinyl" }), image];
}

/** Returns the content of the thumbnail where there is no cover: the reason and the service's error message. */
function createReason(result) {
  return createNote(reasonLabel(result.reason), result.error);
}

/** Returns the translation of a reason, or its name if there is none. */
export function reasonLabel(reason) {
  return hasTranslation("reasons", reason) ? translate(`reasons.${reason}`) : reason;
}

function cacheLabel(cache) {
  return hasTranslation("caches", cache) ? translate(`caches.${cache}`) : cache;
}

function createNote(heading, error) {
  const note = createElement("span", { class: "note" }, createElement("b", {}, heading));
  if (error !== "") note.append(createElement("span", { lang: "en" }, error));
  return [note];
}
