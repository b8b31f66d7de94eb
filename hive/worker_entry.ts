/**
 * A worker with everything that the pool holds for it.
 *
 * @module
 */
import type { WorkerGone } from "../protocol/hive_status.ts";
import type { Peer } from "../runtime/call.ts";
import type { Ended } from "../runtime/process.ts";
import { baseUrl } from "../runtime/serve.ts";
import type { SpawnPlan } from "./spawn_plan.ts";
import { type GoneReason, Worker } from "./worker.ts";
import { explainEnd } from "./worker_end.ts";
import type { WorkerProcess } from "./worker_process.ts";

/** One row of the pool's table. */
export interface WorkerEntry {
  readonly worker: Worker;
  readonly plan: SpawnPlan;
  readonly process: WorkerProcess;
  readonly peer: Peer;
  readonly key: string;
  /** Of the request that wanted it: so a queen knows which task its narration belongs to. */
  readonly correlationId?: string;
  /** Resolves when it has called back. */
  readonly listening: PromiseWithResolvers<void>;
  /** How many processes the kernel had ended for want of memory when it was started. */
  readonly oomKillsBefore: number | undefined;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  /** Ends with the worker's status stream. */
  followed: Promise<void>;
  /** Resolves when it is gone and told of. */
  gone: Promise<void>;
}

/** Returns Unix time in whole seconds. */
export function nowUnix(): number {
  return Math.floor(Date.now() / 1_000);
}

/** Returns the hive's view of a worker that is about to be started. */
export function newWorker(plan: SpawnPlan, at: { id: string; host: string; port: number; tls: boolean }): Worker {
  return new Worker({
    id: at.id,
    url: baseUrl({ hostname: at.host, port: at.port, tls: at.tls }),
    port: at.port,
    modelRef: plan.model.ref,
    backend: plan.placement.backend,
    device: plan.placement.device,
    slots: plan.slots,
    idleMs: plan.idleMs,
    keepS: plan.keepS,
  }, nowUnix());
}

/** Returns why a worker went whose process has ended. */
export function explainEntry(
  entry: WorkerEntry,
  ended: Ended,
  oomKills: number | undefined,
): WorkerGone & { reason: GoneReason } {
  const { worker, process, oomKillsBefore } = entry;
  return explainEnd({
    id: worker.facts.id,
    pid: process.child.pid,
    ending: worker.ending,
    ended,
    wasLoading: worker.isLoading,
    error: worker.status?.error,
    tail: process.child.tail(),
    outOfMemory: oomKillsBefore !== undefined && (oomKills ?? 0) > oomKillsBefore,
  });
}
