/**
 * A plan: what would become of a task, on which machine and why, in numbers, without doing it.
 *
 * @module
 */
import * as z from "zod";
import { limits } from "./limits.ts";
import { modelFacts } from "./model.ts";
import { backend, nodeName } from "./node.ts";

/** Schema of the body of the queen's `POST /v2/plan`. */
export const planWish = z.strictObject({
  /** A reference or an alias; absent: the queen's configured default. */
  model: z.string().min(1).max(limits.modelRefCharsMax).optional(),
  node: nodeName.optional(),
  backend: backend.optional(),
  device: z.number().int().min(0).max(1_024).optional(),
  ctx: z.number().int().min(limits.ctxTokensMin).max(limits.ctxTokensMax).optional(),
  slots: z.number().int().min(1).max(limits.slotsMax).optional(),
});

/** Schema of what one machine could do for a task. */
export const planRow = z.object({
  node: z.string(),
  /** `reuse` a worker, `wait` for one that loads or is busy, `spawn` one, or `refuse`. */
  would: z.enum(["reuse", "wait", "spawn", "refuse"]),
  /** Why, for a person; of a refusal what is in the way. */
  reasons: z.array(z.string()),
  /** The refusal's code. */
  code: z.string().nullable(),
  backend: backend.nullable(),
  device: z.number().int().nullable(),
  /** Layers on the GPU of all layers; null where there is no GPU or the shape is unknown. */
  gpu_layers: z.number().int().nullable(),
  layers: z.number().int().nullable(),
  worker: z.string().nullable(),
  /** Workers that would be ended for it. */
  evicts: z.array(z.string()),
  required_mb: z.number().nullable(),
  available_mb: z.number().nullable(),
  model_on_disk: z.boolean(),
  download_bytes: z.number().nullable(),
  prefill_tokens_per_second: z.number().nullable(),
  decode_tokens_per_second: z.number().nullable(),
  /** Until the first token, in seconds. */
  expected_first_token_s: z.number().nullable(),
  /** Higher is better; only rows that are no refusal have one. */
  score: z.number().nullable(),
});

/** What one machine could do for a task. */
export type PlanRow = z.infer<typeof planRow>;

/** Schema of a plan. */
export const plan = z.object({
  /** Null when nobody could look it up; `model_error` says why. */
  model: modelFacts.nullable(),
  model_error: z.object({
    code: z.string(),
    message: z.string(),
    hint: z.string(),
    /** Of `MODEL_AMBIGUOUS`: the variants that there are. */
    details: z.record(z.string(), z.unknown()).default({}),
  }).nullable(),
  /** The row that would be taken; null when all refuse. */
  chosen: z.string().nullable(),
  /** The best first. */
  rows: z.array(planRow),
});

/** A plan. */
export type Plan = z.infer<typeof plan>;
