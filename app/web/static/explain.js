// The dialog that explains a result: the fields of its record.

import { createPicture, reasonLabel } from "./card.js";
import { byId, createElement, createLink } from "./dom.js";
import { formatDuration, formatTime, hasTranslation, translate } from "./i18n.js";

const dialog = byId("explain");

byId("explain-close").addEventListener("click", () => dialog.close());
// The target of a click on the backdrop is the dialog itself; that of a click inside is one of its children.
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

export function openExplainDialog(result) {
  byId("explain-title").textContent = result.id;
  byId("explain-picture").replaceChildren(...(result.state === "found" ? createPicture(result) : []));
  byId("explain-facts").replaceChildren(...factsOf(result).flatMap(([name, fact]) => createRow(name, fact)));
  dialog.dataset.state = result.state;
  dialog.showModal();
  dialog.scrollTop = 0;
}

/** Returns the facts that a result has, each as [name, string or element]. */
function factsOf({ id, state, reason, record = {}, error, duration }) {
  const facts = [
    ["reason", reasonLabel(reason)],
    ["error", error && createElement("span", { lang: "en" }, error)],
    ["url", record.url && createLink(record.url)],
    ["page_url", record.page_url && createLink(record.page_url)],
    ["final_url", record.final_url && record.final_url !== record.page_url && createLink(record.final_url)],
    ["status", record.status && `HTTP ${record.status}`],
    ["rule", record.rule && createElement("code", {}, record.rule)],
    ["misses", record.misses?.length > 0 && createMissList(record.misses)],
    ["fetched_at", record.fetched_at && formatTime(record.fetched_at)],
    ["fresh_until", record.fresh_until && formatTime(record.fresh_until)],
    ["cache", record.cache && cacheDescription(record.cache)],
    ["duration", formatDuration(duration)],
    ["source", record.source],
    ["http", state === "found" && createLink(coverUrl(record.source, id))],
  ];
  return facts.filter(([, fact]) => fact);
}

/** Returns the URL of the cover over plain HTTP. Slashes in the id are not encoded. */
function coverUrl(source, id) {
  return new URL(["cover", source, ...id.split("/").map(encodeURIComponent)].join("/"), document.baseURI).href;
}

function createMissList(misses) {
  return createElement("ul", { lang: "en" }, ...misses.map((miss) => createElement("li", {}, miss)));
}

function cacheDescription(cache) {
  return hasTranslation("cache_descriptions", cache) ? translate(`cache_descriptions.${cache}`) : cache;
}

function createRow(name, fact) {
  return [createElement("dt", {}, translate(`facts.${name}`)), createElement("dd", {}, fact)];
}
