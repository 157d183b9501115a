// Batches of lookups: many ids, a few concurrent calls, each result shown as soon as it arrives.

import { Fault, call } from "./xmlrpc.js";

/** The number of concurrent calls. Browsers open six connections to a host: one stays free for the live view. */
const CONCURRENCY = 5;

/** The maximum number of ids in a batch. */
export const MAX_IDS = 1000;

/** The reasons of faults by their codes. */
const REASONS = new Map([[-32602, "bad_id"], [503, "overloaded"], [504, "no_time"]]);

/** The states of results by their reasons. For any other reason the state is "failed". */
const STATES = new Map([["found", "found"], ["no_such_item", "missing"], ["no_cover", "missing"]]);

/**
 * Returns the distinct ids in a text. They are separated by white space, commas or semicolons; a URL is not split at its
 * commas and semicolons.
 */
export function parseIds(text) {
  const ids = text.split(/\s+/).flatMap((word) => {
    const trimmed = word.replaceAll(/^[,;]+|[,;]+$/g, "");
    return trimmed.includes("://") ? trimmed : trimmed.split(/[,;]+/);
  });
  return [...new Set(ids.filter((id) => id !== ""))];
}

/** A batch of lookups. If `source` is empty, ids may name their own sources, and the others use the default one. */
export class LookupBatch {
  #ids;
  #source;
  #abortController = new AbortController();

  constructor(ids, source) {
    this.#ids = ids;
    this.#source = source;
  }

  /**
   * Looks up the ids in order, until `stop` is called. It calls `view.showLoading(id)` when a lookup starts, and
   * `view.showResult(result)` when it ends. A result is {id, state, reason, error, duration}, with the `record` if
   * there is one. `error` is the message of the service; `duration` is in milliseconds.
   */
  async run(view) {
    const remaining = this.#ids.values();
    const worker = async () => {
      for (const id of remaining) {
        if (this.isStopped) return;
        view.showLoading(id);
        const result = await this.#lookUp(id);
        if (!this.isStopped) view.showResult(result);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  }

  get isStopped() {
    return this.#abortController.signal.aborted;
  }

  stop() {
    this.#abortController.abort();
  }

  async #lookUp(id) {
    const startedAt = performance.now();
    const outcome = await this.#callService(id);
    return { id, state: STATES.get(outcome.reason) ?? "failed", duration: performance.now() - startedAt, ...outcome };
  }

  async #callService(id) {
    const params = this.#source === "" ? [id] : [id, this.#source];
    try {
      const record = await call("explain_cover", params, this.#abortController.signal);
      return { reason: record.outcome, record, error: record.error };
    } catch (error) {
      if (error instanceof Fault) return { reason: REASONS.get(error.code) ?? "fault", error: error.message };
      return { reason: "unreachable", error: "" };
    }
  }
}
