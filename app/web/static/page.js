// The page: what is typed becomes a round of lookups.

import { Board, clearBoard } from "./board.js";
import { here, make } from "./elements.js";
import { watch } from "./live.js";
import { MOST, Round, idsIn } from "./lookup.js";
import { text, translate } from "./texts.js";
import { call } from "./xmlrpc.js";

const [ids, source, find, stop, clear] = ["ids", "source", "find", "stop", "clear"].map(here);

/** The sources by what stands for them in the form: the default one's is empty, so that an id may name its own. */
let sources = new Map();
let round = null;

translate();
nameFind();
watch();
here("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  lookUp();
});
ids.addEventListener("input", nameFind);
ids.addEventListener("keydown", (event) => {
  // The Enter that ends the composing of a word, as in Chinese, is not meant for us.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  lookUp();
});
source.addEventListener("change", hintAtSource);
stop.addEventListener("click", () => round.stop());
clear.addEventListener("click", () => {
  round.stop();
  round = null;
  clearBoard();
  offer(null);
  ids.value = "";
  nameFind();
  ids.focus();
  history.replaceState(null, "", location.pathname + location.search);
});
window.addEventListener("hashchange", followLink);
await learnSources();
followLink();

async function learnSources() {
  try {
    const told = await call("list_sources", []);
    const sorted = told.toSorted((one, other) => other.default - one.default);
    sources = new Map(sorted.map((one) => [one.default ? "" : one.name, one]));
  } catch {
    here("source-hint").textContent = text("no_sources");
  }
  const options = Array.from(sources, ([value, { name }]) =>
    make("option", { value }, value === "" ? text("default_source", { name }) : name),
  );
  source.replaceChildren(...options);
  hintAtSource();
}

function hintAtSource() {
  const chosen = sources.get(source.value);
  if (chosen !== undefined) here("source-hint").textContent = text("source_hint", { page: chosen.page_url });
}

/** Looks up what the address says behind its "#", such as ids=42,43&source=caa. */
function followLink() {
  const said = new URLSearchParams(location.hash.slice(1));
  if (!said.has("ids")) return;
  ids.value = idsIn(said.get("ids")).join(" ");
  const wanted = said.get("source") ?? "";
  source.value = sources.has(wanted) ? wanted : "";
  hintAtSource();
  nameFind();
  lookUp();
}

function linkTo(wanted) {
  const said = new URLSearchParams({ ids: wanted.join(" ") });
  if (source.value !== "") said.set("source", source.value);
  try {
    history.replaceState(null, "", `#${said}`);
  } catch {
    // A browser refuses an address that is too long, or one more within seconds; the lookup is worth more than its link.
  }
}

function nameFind() {
  const count = Math.min(idsIn(ids.value).length, MOST);
  find.textContent = count === 0 ? text("find_none") : text("find", { count });
}

async function lookUp() {
  const typed = idsIn(ids.value);
  if (typed.length === 0) {
    ids.focus();
    return;
  }
  if (sources.size === 0) learnSources(); // the service may be there by now
  const wanted = typed.slice(0, MOST);
  linkTo(wanted);
  if (matchMedia("(pointer: coarse)").matches) ids.blur(); // or the keyboard on the screen would cover the covers
  round?.stop();
  round = new Round(wanted, source.value);
  const own = round;
  const board = new Board(wanted, typed.length > MOST ? text("too_many", { number: MOST }) : "");
  offer(stop);
  await own.go(board);
  if (own !== round) return; // another one has the board by now
  if (own.isStopped) board.stopped();
  else board.ended();
  offer(clear);
}

/** Shows this one of the two further buttons, or none of them; the focus does not get lost with the other. */
function offer(button) {
  const hadFocus = [stop, clear].includes(document.activeElement);
  for (const other of [stop, clear]) other.hidden = other !== button;
  if (hadFocus) button?.focus();
}
