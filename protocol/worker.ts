/**
 * Workers as hive and queen speak of them.
 *
 * @module
 */
import * as z from "zod";
import { limits, ports } from "./limits.ts";
import { backend } from "./node.ts";

/** Schema of a worker's id: safe as a file name and in a path. */
export const workerId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, "must be letters, digits, _ and -");

/** The states that a worker is seen in. */
export const workerState = z.enum(["loading", "idle", "busy", "draining", "unhealthy"]);

/** `loading → idle ↔ busy → draining`; `unhealthy` is the hive's word for one that does not answer. */
export type WorkerState = z.infer<typeof workerState>;

/** Schema of the body of the hive's `POST /v1/workers/spawn`. `model` is an older name of `model_ref`. */
export const spawnWorker = z.preprocess(
  (value) => {
    if (typeof value !== "object" || value === null || !("model" in value) || "model_ref" in value) return value;
    const { model, ...rest } = value;
    return { ...rest, model_ref: model };
  },
  z.strictObject({
    model_ref: z.string().min(1),
    /** Absent: the best one the machine has. */
    backend: backend.optional(),
    device: z.number().int().min(0).max(1_024).optional(),
    slots: z.number().int().min(1).max(limits.slotsMax).optional(),
    /** Upper bound of the context in tokens; absent: the configured one, else the model's own. */
    ctx: z.number().int().min(limits.ctxTokensMin).max(limits.ctxTokensMax).optional(),
    threads: z.number().int().min(1).max(limits.threadsMax).optional(),
    /** How many layers go to the GPU; absent: as many as fit. */
    gpu_layers: z.number().int().min(0).max(limits.layersMax).optional(),
    /** Replaces the idle time-out in seconds; 0 means for ever. */
    keep_s: z.number().min(0).max(365 * 86_400).optional(),
  }),
);

/** A parsed wish for a worker. */
export type SpawnWorker = z.output<typeof spawnWorker>;

/** Schema of the answer to a spawn: the worker listens and loads. */
export const spawnedWorker = z.object({
  worker_id: workerId,
  url: z.string(),
  state: workerState,
});

/** Schema of the ready callback, S28. */
export const workerReady = z.strictObject({
  worker_id: workerId,
  url: z.url(),
  model_ref: z.string(),
  backend,
  device: z.number().int().min(0),
  vram_bytes: z.number().min(0).optional(),
  slots_total: z.number().int().min(1).optional(),
});

/** What a worker says when it listens. */
export type WorkerReady = z.output<typeof workerReady>;

/** Schema of one worker in a hive's list: S29 and what came later. */
export const workerRecord = z.object({
  id: workerId,
  url: z.string(),
  port: z.number().int().min(1).max(ports.max),
  model_ref: z.string(),
  backend,
  device: z.number().int(),
  state: workerState,
  slots_total: z.number().int(),
  slots_available: z.number().int(),
  last_activity_unix: z.number(),
  failed_health_checks: z.number().int(),
  pid: z.number().int().nullable(),
  /** How many tokens one slot's context holds; absent while loading. */
  ctx: z.number().int().optional(),
  keep_s: z.number().optional(),
  memory_bytes: z.number().optional(),
  /** While `loading`. */
  layers_loaded: z.number().int().optional(),
  layers_total: z.number().int().optional(),
  vram_mb: z.number().optional(),
});

/** One worker as its hive sees it. */
export type WorkerRecord = z.infer<typeof workerRecord>;

/**
 * Schema of what a worker has computed since its start, for its hive to learn the machine's speed from. Each text counts
 * its own time: two side by side count it twice, so that tokens by time is the speed of one text.
 */
export const workDone = z.object({
  /** Texts that came to their end. */
  tasks: z.number().int().min(0),
  /** Tokens of prompts that were computed, not found in a slot. */
  prefill_tokens: z.number().int().min(0),
  prefill_ms: z.number().min(0),
  /** Without each text's first token, which belongs to the prefill. */
  decode_tokens: z.number().int().min(0),
  decode_ms: z.number().min(0),
});

/** What a worker has computed since its start. */
export type WorkDone = z.infer<typeof workDone>;

/** Schema of what a worker says of itself on its own `GET /v1/events`, at once after each change. */
export const workerStatus = z.object({
  worker_id: workerId,
  state: workerState,
  slots_total: z.number().int(),
  slots_available: z.number().int(),
  /** When the last request began or ended; the idle time-out counts from here. Unix time in seconds. */
  last_request_unix: z.number(),
  layers_loaded: z.number().int().optional(),
  layers_total: z.number().int().optional(),
  vram_mb: z.number().optional(),
  memory_bytes: z.number().optional(),
  ctx: z.number().int().optional(),
  /** What the thread calibration found, once, for the hive to remember. */
  calibration: z.object({ threads: z.number().int(), tokens_per_second: z.record(z.string(), z.number()) }).optional(),
  work: workDone.optional(),
  /** Why loading failed; the process ends right after. The body's `error` fields. */
  error: z.object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()) }).optional(),
});

/** What a worker says of itself. */
export type WorkerStatus = z.infer<typeof workerStatus>;

/** Schema of the answer to a shutdown: acknowledged, the end comes after. */
export const shutdownAccepted = z.object({ status: z.literal("shutting_down") });
