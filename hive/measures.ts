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

/** Where a model's bytes came from. */
export type ModelSource = "hub" | "peer" | "http";

/** Counts bytes of models that came from elsewhere. */
export function countModelBytes(source: ModelSource, bytes: number): void {
  counter("rbee_hive_model_bytes_total", "Bytes of models that came to this machine", ["source"]).inc(
    { source },
    bytes,
  );
}

/** Counts a model that is here now. */
export function countDownloaded(): void {
  counter("rbee_hive_models_downloaded_total", "Models that came to this machine").inc();
}

/** Tells how many models are on their way. */
export function setDownloadsActive(count: number): void {
  gauge("rbee_hive_download_active", "Models that are on their way to this machine").set(count);
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
