/**
 * One generation, from the engine's tokens to the events of the client's dialect: the one place where it can stop.
 *
 * @module
 */
import type { Generated, GenerationEnd, LoadedModel, Sampling, Tokens } from "../native/engine.ts";
import { RbeeError, toErrorBody } from "../protocol/error.ts";
import type { Dialect } from "../protocol/dialects/rbee.ts";
import type { InferenceEnd, InferenceRequest, StopReason } from "../protocol/inference.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";
import type { Log } from "../runtime/log.ts";
import type { Measures } from "./measures.ts";
import type { Running } from "./requests.ts";
import type { Slot } from "./slots.ts";
import { StopText } from "./stop_text.ts";

/** A request that has its slot. */
export interface Admitted {
  readonly request: InferenceRequest;
  readonly running: Running;
  readonly slot: Slot;
  readonly tokens: Tokens;
  /** What is left of the context after the prompt, if that is less than what was asked for. */
  readonly maxTokens: number;
  readonly seed: number;
  readonly model: LoadedModel;
  readonly measures: Measures;
  readonly log: Log;
  /** `performance.now()` when it was admitted. */
  readonly startedMs: number;
}

/** Takes what one token adds to the text, which may be empty; a promise when the reader has to catch up. */
export type Emit = (text: string, index: number) => Promise<void> | void;

/**
 * Generates and returns the terminal event; request and slot are free by then, so that a client that read the last
 * event finds the slot idle. Throws `SHUTTING_DOWN`, `REQUEST_CANCELED` (the client left) or the engine's error.
 */
export async function generate(admitted: Admitted, emit: Emit): Promise<InferenceEnd> {
  const { running, slot, measures, log } = admitted;
  const generation = new Generation(admitted, emit);
  try {
    measures.began(admitted.tokens.length);
    const end = await generation.run();
    measures.ended(end);
    log.info("request ended", summary(end));
    return end;
  } catch (thrown) {
    const error = failure(thrown, running);
    measures.endedBy(running.endedBy ?? "error");
    const fields = { code: error.code, ended_by: running.endedBy ?? "error", total_tokens: generation.count };
    if (running.endedBy) log.info("request ended", fields);
    else log.error("request failed", { ...fields, error: thrown });
    throw error;
  } finally {
    slot[Symbol.dispose]();
    running[Symbol.dispose]();
  }
}

/** Writes a generation as one stream: tokens, then exactly one of terminal event and error, then the end mark. */
export async function writeGeneration(
  admitted: Admitted,
  to: { out: StreamWriter; dialect: Dialect; correlationId: string; started?: string },
): Promise<void> {
  const { out, dialect } = to;
  using _slot = admitted.slot; // also when the client is gone before anything was generated
  using _running = admitted.running;
  const left = () => admitted.running.end("client-left");
  out.signal.addEventListener("abort", left);
  if (out.signal.aborted) left();
  let last: string;
  let writing = Promise.resolve();
  try {
    if (to.started !== undefined) await out.write(to.started);
    last = dialect.end(await generate(admitted, (text, index) => writing = out.write(dialect.token(text, index))));
  } catch (error) {
    if (admitted.running.endedBy === "client-left") return;
    last = dialect.error(toErrorBody(error, to.correlationId));
  }
  out.signal.removeEventListener("abort", left);
  // a cancelled request did not wait for its last token to be taken; one write at a time all the same
  await writing.then(() => out.write(last)).catch(() => {}); // the client left meanwhile: nobody is there to tell
}

/** Returns what the engine is told, from what the client said. */
export function samplingOf(request: InferenceRequest, seed: number): Sampling {
  return {
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    minP: request.min_p,
    repetitionPenalty: request.repetition_penalty,
    seed,
  };
}

/** The engine's tokens of one request, taken one by one. */
class Generation {
  count = 0;
  readonly #admitted: Admitted;
  readonly #emit: Emit;
  readonly #stop: StopText;
  #lastTokenMs: number;
  #wake = () => {};

  constructor(admitted: Admitted, emit: Emit) {
    this.#admitted = admitted;
    this.#emit = emit;
    this.#stop = new StopText(admitted.request.stop);
    this.#lastTokenMs = admitted.startedMs;
  }

  async run(): Promise<InferenceEnd> {
    const { model, slot, running, tokens, maxTokens, request, seed } = this.#admitted;
    running.signal.addEventListener("abort", () => this.#wake(), { once: true });
    const generation = model.generate({
      slot: slot.index,
      tokens,
      sampling: samplingOf(request, seed),
      maxTokens,
      ignoreEos: request.ignore_eos,
      // Only who names a seed, or wants no chance at all, may expect the same text again; everybody else gets the speed.
      reproducible: request.seed !== undefined || request.temperature === 0,
      signal: running.signal,
    });
    try {
      const end = await this.#follow(generation);
      if (end.reason === "CANCELLED" && running.endedBy !== "cancelled" && running.endedBy !== "stop-string") {
        throw running.signal.reason;
      }
      const rest = this.#stop.rest();
      if (rest !== "" && !running.endedBy) await this.#send(rest, Math.max(0, this.count - 1));
      return this.#terminalEvent(end);
    } finally {
      await generation.return(undefined as never); // after an error of the reader's the engine must stop as well
    }
  }

  async #follow(generation: AsyncGenerator<Generated, GenerationEnd>): Promise<GenerationEnd> {
    const { running } = this.#admitted;
    for (;;) {
      const step = await generation.next();
      if (step.done) return step.value;
      if (running.endedBy) continue; // told to end: the engine finishes the step it was in
      this.#measure();
      const text = this.#stop.push(step.value.text);
      if (this.#stop.found) running.end("stop-string");
      await this.#send(text, this.count++);
    }
  }

  /** Waits for a reader that is behind, but not once the request was told to end: its slot must not wait for a reader. */
  async #send(text: string, index: number): Promise<void> {
    const written = this.#emit(text, index);
    if (written === undefined) return;
    if (this.#admitted.running.endedBy) return void written.catch(() => {});
    await new Promise<void>((resolve, reject) => {
      this.#wake = resolve;
      written.then(resolve, reject);
    });
  }

  #measure(): void {
    const now = performance.now();
    if (this.count === 0) this.#admitted.measures.firstToken(now - this.#admitted.startedMs);
    else this.#admitted.measures.nextToken(now - this.#lastTokenMs);
    this.#lastTokenMs = now;
  }

  #terminalEvent(end: GenerationEnd): InferenceEnd {
    const { startedMs, tokens, seed } = this.#admitted;
    return {
      done: true,
      total_tokens: this.count,
      prompt_tokens: tokens.length,
      prompt_tokens_cached: end.promptTokensCached,
      duration_ms: Math.round(performance.now() - startedMs),
      prefill_ms: Math.round(end.prefillMs),
      decode_ms: Math.round(end.decodeMs),
      tokens_per_second: decodingSpeed(this.count, end.decodeMs),
      stop_reason: this.#stopReason(end),
      seed,
    };
  }

  #stopReason(end: GenerationEnd): StopReason {
    return this.#stop.found ? "STOP_SEQUENCE" : end.reason;
  }
}

/** Tokens per second of decoding alone: the first token belongs to the prefill. 0 when there was nothing to measure. */
function decodingSpeed(tokens: number, decodeMs: number): number {
  return tokens < 2 || decodeMs <= 0 ? 0 : Math.round((tokens - 1) / decodeMs * 100_000) / 100;
}

/** What the client is told: how the request was ended, one of our errors, or that the engine failed. */
function failure(thrown: unknown, running: Running): RbeeError {
  if (running.endedBy === "shutdown") {
    return new RbeeError("SHUTTING_DOWN", { message: "Cannot finish the text: the worker is shutting down" });
  }
  if (running.endedBy) return new RbeeError("REQUEST_CANCELED");
  return thrown instanceof RbeeError ? thrown : new RbeeError("INFERENCE_FAILED", { cause: thrown });
}

function summary(end: InferenceEnd): Record<string, unknown> {
  const { done: _done, seed: _seed, ...rest } = end;
  return rest;
}
