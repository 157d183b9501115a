// What /metrics says, in the text format of Prometheus (exposition format 0.0.4).

const TYPE = /^# TYPE ([a-zA-Z_:][\w:]*) /;
const LINE = /^([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const LABEL = /([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"/g;
const NUMBERS = { "+Inf": Infinity, "-Inf": -Infinity };

/** One reading: all samples of a moment, by name. */
export class Reading {
  #samples = new Map();

  /** Reads a text; lines that are none of the format are passed over. */
  constructor(text) {
    for (const line of text.split("\n")) {
      const typed = TYPE.exec(line);
      if (typed !== null) this.#named(typed[1]); // of what has never happened yet there is no sample
      const found = LINE.exec(line.trim());
      if (found === null) continue;
      const [, name, labels, value] = found;
      this.#named(name).push({ labels: labelsIn(labels ?? ""), value: NUMBERS[value] ?? Number(value) });
    }
  }

  /** Returns the samples of this name, each {labels, value}; null where it is not told. */
  of(name) {
    return this.#samples.get(name) ?? null;
  }

  /** Returns the sum of the samples of this name that `isMeant` takes by its labels; null where it is not told. */
  sum(name, isMeant = () => true) {
    return this.of(name)?.reduce((sum, { labels, value }) => (isMeant(labels) ? sum + value : sum), 0) ?? null;
  }

  #named(name) {
    if (!this.#samples.has(name)) this.#samples.set(name, []);
    return this.#samples.get(name);
  }
}

function labelsIn(text) {
  return Object.fromEntries(
    Array.from(text.matchAll(LABEL), ([, name, value]) => [
      name,
      value.replaceAll(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter)),
    ]),
  );
}
