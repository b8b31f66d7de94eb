/**
 * A task: one inference as a client asks the queen for it.
 *
 * @module
 */
import * as z from "zod";
import { generationFields, hasOnePrompt, onePromptMessage } from "./inference.ts";
import { limits } from "./limits.ts";
import { backend, nodeName } from "./node.ts";

/** Schema of what a client calls itself. */
export const clientName = z.string().regex(/^[\w.@-]{1,64}$/, "must be letters, digits, . _ @ -");

/** Schema of the body of `POST /v2/tasks`. */
export const submitTask = z.strictObject({
  ...generationFields,
  /** Absent: the queen chooses. */
  node: nodeName.optional(),
  /** A reference or an alias; absent: the queen's configured default. */
  model: z.string().min(1).optional(),
  backend: backend.optional(),
  device: z.number().int().min(0).max(1_024).optional(),
  ctx: z.number().int().min(limits.ctxTokensMin).max(limits.ctxTokensMax).optional(),
  slots: z.number().int().min(1).max(limits.slotsMax).optional(),
  /** How long it may wait for a slot, in seconds. */
  wait_s: z.number().min(0).max(limits.waitForSlotMsMax / 1_000).optional(),
  /** How long the whole task may take, in seconds. */
  timeout_s: z.number().min(0.001).max(limits.taskTimeoutMsMax / 1_000).optional(),
  /** Who asks: slots of a model are given to its clients in turn, so that nobody keeps the others out. */
  client: clientName.optional(),
  /** Tell every decision about it with its reasons, as narration. */
  explain: z.boolean().default(false),
  /** Answer 202 at once; the task outlives its client. */
  detach: z.boolean().default(false),
}).refine(hasOnePrompt, onePromptMessage);

/** A parsed task. */
export type SubmitTask = z.output<typeof submitTask>;

/** Where a task stands. `preparing`: its worker is being started or loads. */
export type TaskState = "queued" | "preparing" | "running" | "done" | "failed" | "cancelled";

/** Schema of the 202 answer to a detached task. */
export const taskAccepted = z.object({ task_id: z.string(), status: z.string(), events_url: z.string() });

/** Schema of the queen's `started` event: the first one of a task's stream. */
export const taskStarted = z.object({ task_id: z.string(), correlation_id: z.string().optional(), model: z.string() });

/** Schema of the body of the queen's `POST /v2/workers/start`. */
export const startWorker = z.strictObject({
  model: z.string().min(1),
  node: nodeName.optional(),
  backend: backend.optional(),
  device: z.number().int().min(0).max(1_024).optional(),
  ctx: z.number().int().min(limits.ctxTokensMin).max(limits.ctxTokensMax).optional(),
  slots: z.number().int().min(1).max(limits.slotsMax).optional(),
  /** Replaces the idle time-out in seconds; 0 means for ever. */
  keep_s: z.number().min(0).max(365 * 86_400).optional(),
});

/** A parsed wish to load a model before anybody asks for it. */
export type StartWorker = z.output<typeof startWorker>;
