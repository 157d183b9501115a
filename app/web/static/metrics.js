// A parser for the text format of Prometheus (exposition format 0.0.4).

const TYPE = /^# TYPE ([a-zA-Z_:][\w:]*) /;
const SAMPLE = /^([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const LABEL = /([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"/g;
const INFINITIES = { "+Inf": Infinity, "-Inf": -Infinity };

/** The samples of one scrape by metric name. */
export class Metrics {
  #samples = new Map();

  /** Parses a text. Malformed lines are ignored. */
  constructor(text) {
    for (const line of text.split("\n")) {
      const type = TYPE.exec(line);
      if (type !== null) this.#samplesFor(type[1]); // a counter has no samples until it first counts
      const sample = SAMPLE.exec(line.trim());
      if (sample === null) continue;
      const [, name, labels, value] = sample;
      this.#samplesFor(name).push({ labels: parseLabels(labels ?? ""), value: INFINITIES[value] ?? Number(value) });
    }
  }

  /** Returns the samples of a metric, each {labels, value}; null if the scrape does not have the metric. */
  samples(name) {
    return this.#samples.get(name) ?? null;
  }

  /** Returns the sum of those samples whose labels `matches` accepts; null if the scrape does not have the metric. */
  sum(name, matches = () => true) {
    return this.samples(name)?.reduce((sum, { labels, value }) => (matches(labels) ? sum + value : sum), 0) ?? null;
  }

  #samplesFor(name) {
    if (!this.#samples.has(name)) this.#samples.set(name, []);
    return this.#samples.get(name);
  }
}

function parseLabels(text) {
  return Object.fromEntries(
    Array.from(text.matchAll(LABEL), ([, name, value]) => [
      name,
      value.replaceAll(/\\(.)/g, (_, escape) => (escape === "n" ? "\n" : escape)),
    ]),
  );
}
