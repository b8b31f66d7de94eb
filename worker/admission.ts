/**
 * Whether a request can begin now, and with what: the door between the server and a generation. Everything that can be
 * refused is refused here, before a stream begins.
 *
 * @module
 */
import type { LoadedModel, Prompt, Tokens } from "../native/engine.ts";
import { RbeeError } from "../protocol/error.ts";
import type { InferenceRequest } from "../protocol/inference.ts";
import type { Log } from "../runtime/log.ts";
import type { Admitted } from "./inference.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Measures } from "./measures.ts";
import type { Requests } from "./requests.ts";
import type { Slots } from "./slots.ts";

/** What admission looks at. */
export interface AdmissionParts {
  readonly lifecycle: Lifecycle;
  readonly slots: Slots;
  readonly requests: Requests;
  readonly measures: Measures;
  readonly log: Log;
  /** The model; undefined until it is loaded. */
  readonly model: () => LoadedModel | undefined;
}

/**
 * Returns the request with its slot. Nothing is awaited between the look at the slots and the taking of one.
 * Throws `WORKER_NOT_READY`, `SHUTTING_DOWN`, `ALL_SLOTS_BUSY`, `CONTEXT_EXCEEDED` or `INVALID_REQUEST`.
 */
export function admit(request: InferenceRequest, id: string, parts: AdmissionParts): Admitted {
  const startedMs = performance.now();
  parts.lifecycle.checkAccepting();
  const model = parts.model();
  if (!model) throw new RbeeError("WORKER_NOT_READY");
  parts.slots.checkFree();
  const tokens = tokensOf(request, model);
  const maxTokens = roomFor(request, tokens, model.facts.contextTokens);
  const running = parts.requests.begin(id);
  const slot = parts.slots.take(tokens);
  const log = parts.log.with({ request_id: id });
  const seed = request.seed ?? randomSeed();
  log.info("request began", { slot: slot.index, prompt_tokens: tokens.length, max_tokens: maxTokens });
  return { request, running, slot, tokens, maxTokens, seed, model, measures: parts.measures, log, startedMs };
}

/** Returns the prompt's tokens. An engine may refuse a text that cannot fit before it has counted all of them. */
function tokensOf(request: InferenceRequest, model: LoadedModel): Tokens {
  try {
    return model.prepare(promptOf(request));
  } catch (error) {
    if (!(error instanceof RbeeError) || error.code !== "CONTEXT_EXCEEDED") throw error;
    const { prompt_tokens_min: atLeast } = error.details;
    throw new RbeeError("CONTEXT_EXCEEDED", {
      message: error.message,
      details: { prompt_tokens: atLeast, ctx: model.facts.contextTokens },
    });
  }
}

function promptOf(request: InferenceRequest): Prompt {
  return request.messages ? { messages: request.messages } : { prompt: request.prompt ?? "", raw: request.raw };
}

/** Returns how many tokens the answer may have. Throws `CONTEXT_EXCEEDED` with both numbers when not even one. */
function roomFor(request: InferenceRequest, tokens: Tokens, ctx: number): number {
  if (tokens.length < ctx) return Math.min(request.max_tokens, ctx - tokens.length);
  throw new RbeeError("CONTEXT_EXCEEDED", {
    message: `Cannot take the prompt: it has ${tokens.length} tokens, the context holds ${ctx} with the answer`,
    details: { prompt_tokens: tokens.length, ctx },
  });
}

/** Returns a seed of 32 bits: enough to differ, short enough to type again. */
function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}
