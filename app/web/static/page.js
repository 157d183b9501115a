// The entry point of the page: the form that starts lookups.

import { byId, createElement } from "./dom.js";
import { translate, translatePage } from "./i18n.js";
import { startLiveView } from "./live.js";
import { LookupBatch, MAX_IDS, parseIds } from "./lookup.js";
import { ResultsView, clearResults } from "./results.js";
import { call } from "./xmlrpc.js";

const [ids, source, find, stop, clear] = ["ids", "source", "find", "stop", "clear"].map(byId);

/** The sources by their values in the form. The default source has the empty value, so that ids may name their own. */
let sources = new Map();
let batch = null;

translatePage();
updateFindButton();
startLiveView();
byId("lookup-form").addEventListener("submit", (event) => {
  event.preventDefault();
  lookUp();
});
ids.addEventListener("input", updateFindButton);
ids.addEventListener("keydown", (event) => {
  // While an input method composes a word, as for Chinese, Enter ends the composition.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  lookUp();
});
source.addEventListener("change", updateSourceHint);
stop.addEventListener("click", () => batch.stop());
clear.addEventListener("click", () => {
  batch.stop();
  batch = null;
  clearResults();
  showButton(null);
  ids.value = "";
  updateFindButton();
  ids.focus();
  history.replaceState(null, "", location.pathname + location.search);
});
window.addEventListener("hashchange", lookUpFromHash);
await loadSources();
lookUpFromHash();

async function loadSources() {
  try {
    const list = await call("list_sources", []);
    const sorted = list.toSorted((a, b) => b.default - a.default);
    sources = new Map(sorted.map((each) => [each.default ? "" : each.name, each]));
  } catch {
    byId("source-hint").textContent = translate("no_sources");
  }
  const options = Array.from(sources, ([value, { name }]) =>
    createElement("option", { value }, value === "" ? translate("default_source", { name }) : name),
  );
  source.replaceChildren(...options);
  updateSourceHint();
}

function updateSourceHint() {
  const selected = sources.get(source.value);
  if (selected !== undefined) byId("source-hint").textContent = translate("source_hint", { page: selected.page_url });
}

/** Looks up the ids in the URL's fragment, such as #ids=42,43&source=caa. */
function lookUpFromHash() {
  const params = new URLSearchParams(location.hash.slice(1));
  if (!params.has("ids")) return;
  ids.value = parseIds(params.get("ids")).join(" ");
  const name = params.get("source") ?? "";
  source.value = sources.has(name) ? name : "";
  updateSourceHint();
  updateFindButton();
  lookUp();
}

function updateHash(lookedUp) {
  const params = new URLSearchParams({ ids: lookedUp.join(" ") });
  if (source.value !== "") params.set("source", source.value);
  try {
    history.replaceState(null, "", `#${params}`);
  } catch {
    // Browsers reject very long URLs and too frequent changes of the URL. The lookup works without its link.
  }
}

function updateFindButton() {
  const count = Math.min(parseIds(ids.value).length, MAX_IDS);
  find.textContent = count === 0 ? translate("find_none") : translate("find", { count });
}

async function lookUp() {
  const entered = parseIds(ids.value);
  if (entered.length === 0) {
    ids.focus();
    return;
  }
  if (sources.size === 0) loadSources(); // loading failed before, but the service may be available again
  const lookedUp = entered.slice(0, MAX_IDS);
  updateHash(lookedUp);
  if (matchMedia("(pointer: coarse)").matches) ids.blur(); // closes the on-screen keyboard, which would hide the covers
  batch?.stop();
  const current = new LookupBatch(lookedUp, source.value);
  batch = current;
  const view = new ResultsView(lookedUp, entered.length > MAX_IDS ? translate("too_many", { number: MAX_IDS }) : "");
  showButton(stop);
  await current.run(view);
  if (current !== batch) return; // a newer batch has replaced this one's results
  if (current.isStopped) view.showStopped();
  else view.showFinished();
  showButton(clear);
}

/** Shows `stop` or `clear` and hides the other; null hides both. Focus moves from the hidden one to the shown one. */
function showButton(button) {
  const hadFocus = [stop, clear].includes(document.activeElement);
  for (const each of [stop, clear]) each.hidden = each !== button;
  if (hadFocus) button?.focus();
}
