/**
 * One slot: the tokens that its sequence holds in the KV cache, and the generation that runs in it.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { GenerationEnd, Tokens } from "./engine.ts";
import type { ContextBinding, SamplerBinding } from "./llama_binding.ts";

/** One generation, as the loop of `llama_batching.ts` needs it. */
export interface JobOptions {
  readonly tokens: Tokens;
  readonly sampler: SamplerBinding;
  readonly maxTokens: number;
  readonly reproducible: boolean;
  readonly signal: AbortSignal;
  /** Called when the loop has something new to look at. */
  readonly wake: () => void;
}

/** A generation between the loop, which adds tokens, and its one reader, who takes them. */
export class Job {
  readonly options: JobOptions;
  /** Set when the reader went away or the signal fired; the loop then ends the job at its next step. */
  canceled = false;
  /** Of the prompt: what the slot still held, and what is computed by now. */
  cached = 0;
  computed = 0;
  generated = 0;
  /** The token to compute next, once the prompt is done. */
  last = -1;
  readonly #startMs = performance.now();
  #firstTokenMs?: number;
  #queue: number[] = [];
  #end?: GenerationEnd | Error;
  #waiting?: () => void;
  readonly #cancel = () => {
    this.canceled = true;
    this.options.wake();
  };

  constructor(options: JobOptions) {
    this.options = options;
    this.canceled = options.signal.aborted;
    options.signal.addEventListener("abort", this.#cancel, { once: true });
  }

  /** Tokens that nobody has taken yet. */
  get ahead(): number {
    return this.#queue.length;
  }

  /** Whether all of the prompt is computed. */
  get isDecoding(): boolean {
    return this.computed === this.options.tokens.length;
  }

  /** Hands a token to the reader. */
  push(token: number): void {
    this.generated++;
    this.last = token;
    this.#firstTokenMs ??= performance.now();
    this.#queue.push(token);
    this.#wakeReader();
  }

  /** Ends the job: with its reason, or with the error that its reader will get. Tokens after a cancel are dropped. */
  end(end: GenerationEnd["reason"] | Error): void {
    this.options.signal.removeEventListener("abort", this.#cancel);
    this.options.sampler.dispose();
    this.#end = end instanceof Error ? end : this.#ended(end);
    if (end === "CANCELLED") this.#queue = [];
    this.#wakeReader();
  }

  /** Returns the next token, or how it ended; after a cancel no token. Throws the error of a failed computation. */
  async take(): Promise<number | GenerationEnd> {
    while (this.#queue.length === 0 || this.canceled) {
      if (this.#end instanceof Error) throw this.#end;
      if (this.#end) return this.#end;
      await new Promise<void>((resolve) => this.#waiting = resolve);
    }
    this.options.wake();
    return this.#queue.shift()!;
  }

  /** Ends the job if it is not ended, and waits until the loop has let go of it: one step at most. */
  async leave(): Promise<void> {
    this.#cancel();
    while (!this.#end) await new Promise<void>((resolve) => this.#waiting = resolve);
  }

  #ended(reason: GenerationEnd["reason"]): GenerationEnd {
    const now = performance.now();
    const firstMs = this.#firstTokenMs ?? now;
    return {
      reason,
      promptTokensCached: this.cached,
      prefillMs: firstMs - this.#startMs,
      decodeMs: now - firstMs,
    };
  }

  #wakeReader(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }
}

/** How a slot may use again what it holds. */
export interface SlotOptions {
  readonly index: number;
  readonly context: ContextBinding;
  /** Reproducible prompts start at a multiple of this: kernels compute rows in groups, and a group must stay whole. */
  readonly grain: number;
  /** Width of the model's sliding window, if it has one. */
  readonly windowTokens?: number;
}

/** The sequence of one slot. Its methods touch the KV cache: only while no batch is being computed. */
export class Slot {
  readonly index: number;
  job?: Job;
  readonly #options: SlotOptions;
  /** What the KV cache holds, position by position. */
  #held: number[] = [];
  /** How many of the first ones were computed as a prompt from the beginning, many at a time. */
  #exact = 0;

  constructor(options: SlotOptions) {
    this.#options = options;
    this.index = options.index;
  }

  /** Position of the next token. */
  get length(): number {
    return this.#held.length;
  }

  /** Keeps the longest useful prefix of the job's prompt, forgets the rest, and makes the job the slot's own. */
  admit(job: Job): void {
    const { tokens, reproducible } = job.options;
    const kept = this.#keep(this.#reusable(tokens, reproducible));
    const isAligned = kept % this.#options.grain === 0 && (kept === 0 || tokens.length - kept >= 2);
    this.#exact = Math.min(this.#exact, kept);
    // What follows an inexact prefix attends to it and is inexact as well, however it is computed.
    if (this.#exact === kept && isAligned) this.#exact = tokens.length;
    job.cached = job.computed = kept;
    this.job = job;
  }

  /** Notes that tokens were computed at the end of the sequence. */
  add(tokens: Iterable<number>): void {
    for (const token of tokens) this.#held.push(token);
  }

  /** Lets go of the job; what it computed stays for the next one. */
  release(): void {
    this.job = undefined;
  }

  /** Forgets everything, as after a failed computation that leaves the sequence in an unknown state. */
  clear(): void {
    this.#options.context.disposeSequence(this.index);
    this.#held = [];
    this.#exact = 0;
  }

  /** Returns how many tokens of the prompt need not be computed again; at least one always must. */
  #reusable(tokens: Tokens, reproducible: boolean): number {
    const most = Math.min(this.#held.length, tokens.length - 1);
    let common = 0;
    while (common < most && this.#held[common] === tokens[common]) common++;
    if (!reproducible) return common;
    // A last row alone takes another kernel than two rows do.
    const exact = Math.min(common, this.#exact, tokens.length - 2);
    return exact > 0 ? exact - exact % this.#options.grain : 0;
  }

  /** Cuts the sequence to `length`, or to nothing when its kind of memory cannot be cut there; returns what is left. */
  #keep(length: number): number {
    const { context, windowTokens } = this.#options;
    if (length === this.#held.length) return length;
    const first = context.getSequenceKvCacheMinPosition(this.index);
    const isWhole = first <= Math.max(0, length - (windowTokens ?? length));
    if (length > 0 && isWhole && context.removeTokenCellsFromSequence(this.index, length, this.#held.length)) {
      this.#held.length = length;
      return length;
    }
    this.clear();
    return 0;
  }
}

/** Returns the error for a slot that cannot be used: a fault of the caller. */
export function slotError(state: string): RbeeError {
  return new RbeeError("INTERNAL_ERROR", { message: `Cannot generate: ${state}` });
}
