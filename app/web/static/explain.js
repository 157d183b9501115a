// The dialog that explains an answer: the record that the service has of it.

import { pictureOf, reasonName } from "./cards.js";
import { here, link, make } from "./elements.js";
import { duration, hasText, text, time } from "./texts.js";

const dialog = here("explain");

here("explain-close").addEventListener("click", () => dialog.close());
// A click beside the dialog meets the dialog itself; one within meets what is in it.
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

/** Opens the dialog with an answer. */
export function explain(answer) {
  here("explain-title").textContent = answer.id;
  here("explain-picture").replaceChildren(...(answer.kind === "found" ? pictureOf(answer) : []));
  here("explain-facts").replaceChildren(...factsOf(answer).flatMap(([name, fact]) => row(name, fact)));
  dialog.dataset.kind = answer.kind;
  dialog.showModal();
  dialog.scrollTop = 0;
}

/** Returns the facts of an answer that there are, each a name and what is shown for it. */
function factsOf({ id, kind, reason, record = {}, error, took }) {
  const facts = [
    ["reason", reasonName(reason)],
    ["error", error && make("span", { lang: "en" }, error)],
    ["url", record.url && link(record.url)],
    ["page_url", record.page_url && link(record.page_url)],
    ["final_url", record.final_url && record.final_url !== record.page_url && link(record.final_url)],
    ["status", record.status && `HTTP ${record.status}`],
    ["rule", record.rule && make("code", {}, record.rule)],
    ["misses", record.misses?.length > 0 && missesOf(record.misses)],
    ["fetched_at", record.fetched_at && time(record.fetched_at)],
    ["fresh_until", record.fresh_until && time(record.fresh_until)],
    ["cache", record.cache && cacheMeaning(record.cache)],
    ["took", duration(took)],
    ["source", record.source],
    ["http", kind === "found" && link(plainAddress(record.source, id))],
  ];
  return facts.filter(([, fact]) => fact);
}

/** Returns where the cover is had over plain HTTP; the slashes of an id stay so. */
function plainAddress(source, id) {
  return new URL(["cover", source, ...id.split("/").map(encodeURIComponent)].join("/"), document.baseURI).href;
}

function missesOf(misses) {
  return make("ul", { lang: "en" }, ...misses.map((miss) => make("li", {}, miss)));
}

function cacheMeaning(cache) {
  return hasText("cache_means", cache) ? text(`cache_means.${cache}`) : cache;
}

function row(name, fact) {
  return [make("dt", {}, text(`facts.${name}`)), make("dd", {}, fact)];
}
