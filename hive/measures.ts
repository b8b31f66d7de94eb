/**
 * The hive's metrics.
 *
 * @module
 */
import { workerState } from "../protocol/worker.ts";
import { counter, gauge, metricsResponse } from "../runtime/metrics.ts";
import type { Worker } from "./worker.ts";

const spawned = () => counter("rbee_hive_workers_spawned_total", "Worker processes started");
const gone = () => counter("rbee_hive_workers_gone_total", "Workers that are no longer there", ["reason"]);

/** Counts a started worker process. */
export function countSpawned(): void {
  spawned().inc();
}

/** Counts a worker that went, by reason. */
export function countGone(reason: string): void {
  gone().inc({ reason });
}

/** Counts bytes of models that were sent to who asked. */
export function countModelBytesSent(bytes: number): void {
  counter("rbee_hive_model_bytes_sent_total", "Bytes of models that were sent on request").inc(bytes);
}

/** Returns all metrics of this hive as text. */
export async function hiveMetrics(workers: readonly Worker[]): Promise<Response> {
  const total = gauge("rbee_hive_workers_total", "Workers by state", ["state"]);
  for (const state of workerState.options) {
    total.set({ state }, workers.filter((worker) => worker.state === state).length);
  }
  gauge("rbee_hive_workers_failed_health_checks", "Health checks in a row that workers did not answer").set(
    workers.reduce((sum, worker) => sum + worker.failedChecks, 0),
  );
  return await metricsResponse();
}
