// /metrics: the engine's figures and the service's own in Prometheus' text format 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats). A registry of prom-client's shape, for registerMetrics, of which
// nothing else is wanted here: a service installs a megabyte less.
import { BUCKET_MS, type RequestLoad } from "./load.js";

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

type Labels = Readonly<Record<string, string | number>>;

interface Sample {
  readonly value: number;
  readonly labels?: Labels;
  /** Where it is another than the metric's: name_bucket, name_sum, name_count. */
  readonly metricName?: string;
}

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly Sample[];
}

/** What has a name and gives its values when it is asked: a metric of prom-client's. */
export interface Source {
  readonly name: string;
  get(): Promise<Metric> | Metric;
}

export class Registry {
  private readonly sources = new Map<string, Source>();
  private readonly labels: Labels;

  /** `labels` stand in front of each sample's own. */
  constructor(labels: Labels) {
    this.labels = labels;
  }

  registerMetric(source: Source): void {
    if (this.sources.has(source.name)) throw new Error(`there is a metric ${source.name} already`);
    this.sources.set(source.name, source);
  }

  async metrics(): Promise<string> {
    const all = await Promise.all([...this.sources.values()].map((source) => source.get()));
    return all.map((metric) => textOf(metric, this.labels)).join("");
  }
}

/** A gauge or counter of one value. */
export function single(type: "gauge" | "counter", name: string, help: string, read: () => number): Source {
  return { name, get: () => ({ name, help, type, values: [{ value: read() }] }) };
}

/** Every fourth bucket: from one bound to the next is twice as long. */
const BOUND_STEP = 4;

/** Durations of requests by kind, as a histogram in seconds, and those that failed. */
export function requestMetrics(loads: Readonly<Record<string, RequestLoad>>): Source[] {
  const name = "raftmark_kv_request_seconds";
  const help = "Requests that were answered, by how long that took.";
  const values = () => Object.entries(loads).flatMap(([kind, load]) => histogram(name, kind, load));
  const failed = "raftmark_kv_requests_failed_total";
  return [
    { name, get: () => ({ name, help, type: "histogram", values: values() }) },
    {
      name: failed,
      get: () => ({
        name: failed,
        help: "Requests that could not be answered: status 500 and more.",
        type: "counter",
        values: Object.entries(loads).map(([kind, load]) => ({
          value: load.read().failed,
          labels: { kind },
        })),
      }),
    },
  ];
}

function histogram(name: string, kind: string, load: RequestLoad): Sample[] {
  const { counts, totalMs } = load.read();
  const samples: Sample[] = [];
  let total = 0;
  counts.forEach((count, i) => {
    total += count;
    const isLast = i === counts.length - 1;
    if (i % BOUND_STEP !== 0 && !isLast) return;
    const le = isLast ? "+Inf" : String(BUCKET_MS[i] / 1000);
    samples.push({ metricName: `${name}_bucket`, value: total, labels: { kind, le } });
  });
  samples.push({ metricName: `${name}_sum`, value: totalMs / 1000, labels: { kind } });
  samples.push({ metricName: `${name}_count`, value: total, labels: { kind } });
  return samples;
}

function textOf({ name, help, type, values }: Metric, common: Labels): string {
  const lines = values.map((sample) => {
    const labels = Object.entries({ ...common, ...sample.labels }).map(
      ([label, value]) => `${label}="${escaped(value)}"`,
    );
    return `${sample.metricName ?? name}{${labels.join(",")}} ${valueText(sample.value)}\n`;
  });
  const shown = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return `# HELP ${name} ${shown}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function escaped(value: string | number): string {
  return String(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function valueText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}
