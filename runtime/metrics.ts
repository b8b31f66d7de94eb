/**
 * A program's counters, gauges and histograms, as Prometheus reads them. Declared beside their use.
 *
 * @module
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

const registry = new Registry();

/** Returns the counter of that name, made on first use. Names follow `rbee_<program>_<what>_total`. */
export function counter(name: string, help: string, labelNames: string[] = []): Counter {
  return (registry.getSingleMetric(name) as Counter | undefined) ??
    new Counter({ name, help, labelNames, registers: [registry] });
}

/** Returns the gauge of that name, made on first use. */
export function gauge(name: string, help: string, labelNames: string[] = []): Gauge {
  return (registry.getSingleMetric(name) as Gauge | undefined) ??
    new Gauge({ name, help, labelNames, registers: [registry] });
}

/** Returns the histogram of that name, made on first use. `buckets` in the unit that the name ends with. */
export function histogram(name: string, help: string, buckets: number[], labelNames: string[] = []): Histogram {
  return (registry.getSingleMetric(name) as Histogram | undefined) ??
    new Histogram({ name, help, buckets, labelNames, registers: [registry] });
}

let defaults = false;

/** Returns all metrics of this process in the text format, those of the process itself included. */
export async function metricsResponse(): Promise<Response> {
  if (!defaults) {
    defaults = true;
    try {
      collectDefaultMetrics({ register: registry });
    } catch {
      // without permission for the process facts (the worker) only rbee's own metrics are shown
    }
  }
  return new Response(await registry.metrics(), { headers: { "content-type": registry.contentType } });
}
