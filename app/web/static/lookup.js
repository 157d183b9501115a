// A round of lookups: many ids, a few calls at once, each answer told as soon as it is there.

import { Fault, call } from "./xmlrpc.js";

/** Browsers open six connections to a host: one is left for the live view. */
const AT_ONCE = 5;

/** More ids than these are not looked up in one round. */
export const MOST = 1000;

/** Why there is no answer, by the code of its fault. */
const FAULTS = new Map([[-32602, "bad_id"], [503, "overloaded"], [504, "no_time"]]);

/** Which of the three kinds of answers a reason is; any other is a failure. */
const KINDS = new Map([["found", "found"], ["no_such_item", "missing"], ["no_cover", "missing"]]);

/** Returns the ids in a text, each once: between blanks, commas and semicolons, which URLs may hold inside. */
export function idsIn(text) {
  const words = text.split(/\s+/).flatMap((word) => {
    const inner = word.replaceAll(/^[,;]+|[,;]+$/g, "");
    return inner.includes("://") ? inner : inner.split(/[,;]+/);
  });
  return [...new Set(words.filter((word) => word !== ""))];
}

/** One round. `source` is a source's name, or empty for the one that the ids name themselves, or the default one. */
export class Round {
  #ids;
  #source;
  #ending = new AbortController();

  constructor(ids, source) {
    this.#ids = ids;
    this.#source = source;
  }

  /**
   * Looks all ids up, or as many as it comes to until `stop`. The board is told of each: by `began` its id, by
   * `answered` the answer: {id, kind, reason, error, took}, `error` in the service's words, `took` in milliseconds, and
   * the `record` if there is one.
   */
  async go(board) {
    const left = this.#ids.values();
    const lane = async () => {
      for (const id of left) {
        if (this.isStopped) return;
        board.began(id);
        const answer = await this.#ask(id);
        if (!this.isStopped) board.answered(answer);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  }

  get isStopped() {
    return this.#ending.signal.aborted;
  }

  stop() {
    this.#ending.abort();
  }

  async #ask(id) {
    const began = performance.now();
    const told = await this.#explained(id);
    return { id, kind: KINDS.get(told.reason) ?? "failed", took: performance.now() - began, ...told };
  }

  async #explained(id) {
    const params = this.#source === "" ? [id] : [id, this.#source];
    try {
      const record = await call("explain_cover", params, this.#ending.signal);
      return { reason: record.outcome, record, error: record.error };
    } catch (error) {
      if (error instanceof Fault) return { reason: FAULTS.get(error.code) ?? "fault", error: error.message };
      return { reason: "unreachable", error: "" };
    }
  }
}
