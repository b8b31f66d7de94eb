/**
 * One generation: the request that a worker takes, and the events that it answers with.
 *
 * @module
 */
import * as z from "zod";
import type { ErrorFields } from "./error.ts";
import { limits } from "./limits.ts";

/** Schema of one message of a conversation. */
export const chatMessage = z.strictObject({
  role: z.enum(["system", "user", "assistant"]),
  content: z.string(),
});

/** One message of a conversation. */
export type ChatMessage = z.infer<typeof chatMessage>;

/** The fields that say what to generate; a task has them, and so has the worker's request. */
export const generationFields = {
  prompt: z.string().min(1, "must not be empty").optional(),
  messages: z.array(chatMessage).min(1).max(limits.messagesMax).optional(),
  /** `prompt` goes to the model as it is, without its chat template. */
  raw: z.boolean().default(false),
  max_tokens: z.number().int().min(1).max(limits.maxTokensMax).default(limits.maxTokensDefault),
  /** 0 means greedy. */
  temperature: z.number().min(0).max(2).default(limits.temperatureDefault),
  top_p: z.number().min(0).max(1).default(1),
  /** 0 means off. */
  top_k: z.number().int().min(0).max(1_000_000).default(0),
  min_p: z.number().min(0).max(1).default(0),
  /** 1 means off, and so does 0. */
  repetition_penalty: z.number().min(0).max(2).default(1),
  /** Absent: a random one. */
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  stop: z.array(z.string().min(1).max(limits.stopCharsMax)).max(limits.stopStringsMax).default([]),
  ignore_eos: z.boolean().default(false),
  stream: z.boolean().default(true),
};

/** Returns whether exactly one of `prompt` and `messages` is there; used to refine both schemas. */
export function hasOnePrompt(value: unknown): boolean {
  const { prompt, messages } = value as { prompt?: unknown; messages?: unknown };
  return (prompt === undefined) !== (messages === undefined);
}

/** What to say when `hasOnePrompt` is false; asked also when other fields are wrong, so that all are named at once. */
export const onePromptMessage = {
  message: "give either prompt or messages",
  path: ["prompt"],
  when: (payload: { value: unknown }): boolean =>
    typeof payload.value === "object" && payload.value !== null && !Array.isArray(payload.value),
};

/** Schema of a request id: safe in a path and a log line. */
export const requestId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, "must be letters, digits, _ and -");

/** Schema of the body of the worker's `POST /v1/inference`. */
export const inferenceRequest = z.strictObject({
  ...generationFields,
  /** Whoever names the request knows its id; otherwise the worker makes one and says it in `started`. */
  request_id: requestId.optional(),
  /** Which client's wire format the answer has. */
  dialect: z.enum(["rbee"]).default("rbee"),
}).refine(hasOnePrompt, onePromptMessage);

/** A parsed request for one generation. */
export type InferenceRequest = z.output<typeof inferenceRequest>;

/** Why a generation ended. */
export type StopReason = "MAX_TOKENS" | "EOS" | "STOP_SEQUENCE" | "CANCELLED" | "ERROR";

/** Schema of the terminal event. Milliseconds are whole numbers, tokens per second counts decoding alone. */
export const inferenceEnd = z.object({
  done: z.literal(true),
  total_tokens: z.number().int(),
  prompt_tokens: z.number().int(),
  /** How many of the prompt's tokens the slot still held and did not compute again. */
  prompt_tokens_cached: z.number().int(),
  duration_ms: z.number(),
  prefill_ms: z.number(),
  decode_ms: z.number(),
  tokens_per_second: z.number(),
  stop_reason: z.enum(["MAX_TOKENS", "EOS", "STOP_SEQUENCE", "CANCELLED", "ERROR"]),
  /** The seed that was used, so that the same text can be had again. */
  seed: z.number().int(),
});

/** The terminal event of a generation that went well, or was cancelled. */
export type InferenceEnd = z.infer<typeof inferenceEnd>;

/** Schema of the one JSON object that `stream: false` gives. */
export const inferenceAnswer = inferenceEnd.extend({
  task_id: z.string().optional(),
  request_id: z.string().optional(),
  text: z.string(),
});

/** What comes out of a worker, in order: `started`, tokens, then exactly one of `end` and `error`. */
export type InferenceEvent =
  | { type: "started"; request_id: string; model: string }
  | { type: "token"; token: string; index: number }
  | { type: "end"; end: InferenceEnd }
  | { type: "error"; error: ErrorFields };

/** Whether nothing may follow this event but the end mark. */
export function isLast(event: InferenceEvent): boolean {
  return event.type === "end" || event.type === "error";
}
