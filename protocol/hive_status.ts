/**
 * What a hive tells by itself: its whole picture, and why a worker is no longer there.
 *
 * @module
 */
import * as z from "zod";
import { modelFacts } from "./model.ts";
import { backend, machine } from "./node.ts";
import { workerRecord } from "./worker.ts";

/** Schema of what a machine can compute with, measured on real tasks: one for each backend, device and size of model. */
export const nodeSpeed = z.object({
  backend,
  device: z.number().int(),
  /** The power of two that the weights' bytes lie above, see `sizeClass`. */
  size_class: z.number().int(),
  prefill_tokens_per_second: z.number(),
  decode_tokens_per_second: z.number(),
  tasks: z.number().int(),
});

/** What a machine can compute with, measured. */
export type NodeSpeed = z.infer<typeof nodeSpeed>;

/** Returns the `size_class` of weights of that many bytes. */
export function sizeClass(sizeBytes: number): number {
  return sizeBytes < 1 ? 0 : Math.floor(Math.log2(sizeBytes));
}

/** Schema of what a hive sends on its `GET /v1/events`: the whole picture, after each change. */
export const hiveStatus = z.object({
  version: z.string(),
  machine,
  workers: z.array(workerRecord),
  /**
   * Models that are on this machine's disk, the newest `statusModelsMax` of them. Absent where they are those that this
   * stream told last.
   */
  models: z.array(modelFacts).optional(),
  speeds: z.array(nodeSpeed).optional(),
  /** Backends for which a worker program is there; a GPU of another one is of no use until it comes. */
  installed: z.array(backend).optional(),
  /** What a worker is started with here when nobody says it; without a context the model's own decides. */
  defaults: z.object({ slots: z.number().int(), ctx: z.number().int().optional() }).optional(),
});

/** The whole picture of one hive. */
export type HiveStatus = z.infer<typeof hiveStatus>;

/** Schema of the hive's `worker-gone` event: why a worker is no longer there. */
export const workerGone = z.object({
  worker_id: z.string(),
  /** `stopped`, `idle`, `crashed`, `unhealthy`, `load-failed`, `timeout`. */
  reason: z.string(),
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
    hint: z.string().optional(),
  }).optional(),
});

/** Why a worker is no longer there. */
export type WorkerGone = z.infer<typeof workerGone>;
