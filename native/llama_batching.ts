/**
 * Continuous batching: one loop per model that computes a step for all slots together. Slots that decode share one
 * batch, in slot order and never without one that could be in it; prompts are computed between those steps in pieces
 * small enough that the others' text does not stall and a cancel is seen.
 *
 * A prompt never shares a batch with anything else. llama.cpp cuts a mixed batch into unequal pieces, and a row that is
 * computed alone rounds differently than among others, so a slot's text would depend on its neighbours.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { GenerationEnd } from "./engine.ts";
import type { ContextBinding } from "./llama_binding.ts";
import { Job, type JobOptions, Slot, slotError } from "./llama_slot.ts";

/** What the loop drives. */
export interface BatchingOptions {
  readonly context: ContextBinding;
  readonly slots: number;
  /** Per slot: prompt and answer together. */
  readonly contextTokens: number;
  /** Whether a token ends the text. */
  readonly isEnd: (token: number) => boolean;
  /** The most tokens that the context takes in one batch. */
  readonly batchTokens: number;
  /** On a GPU all pieces of a prompt have the same size; on a CPU the size follows the measured speed. */
  readonly fixedPieces: boolean;
  /** How fast one slot decodes, roughly. */
  readonly tokensPerSecond: number;
  readonly windowTokens?: number;
}

/** A piece of a prompt should take this long: while others decode, and alone. */
const pieceMs = { shared: 100, alone: 250 } as const;
/** Kernels compute up to this many rows in one group. */
const rowGroup = 4;
const pieceTokensMin = 16;

/** The loop of one model. */
export class Batching {
  readonly #options: BatchingOptions;
  readonly #slots: readonly Slot[];
  /** Jobs that wait for the running step to end. */
  readonly #arrived: { slot: Slot; job: Job }[] = [];
  #loop?: Promise<void>;
  /** Leaves room in a batch for the rows that would otherwise be left over as a group of their own. */
  readonly #pieceTokensMax: number;
  #prefillTokensPerMs: number;
  #lastPrefilled = -1;
  #closed = false;

  constructor(options: BatchingOptions) {
    this.#options = options;
    const { context, windowTokens, fixedPieces } = options;
    // Many at once go at least twice as fast as one at a time; the first prompts show the true rate.
    this.#prefillTokensPerMs = options.tokensPerSecond * 2 / 1000;
    this.#pieceTokensMax = options.batchTokens - rowGroup;
    const grain = fixedPieces ? this.#pieceTokensMax : rowGroup;
    this.#slots = Array.from(
      { length: options.slots },
      (_, index) => new Slot({ index, context, grain, windowTokens }),
    );
  }

  /** Starts a generation in a slot. Throws `INTERNAL_ERROR` when it has one already or does not exist. */
  start(index: number, options: Omit<JobOptions, "wake">): Job {
    const slot = this.#slots[index];
    if (!slot) throw slotError(`slot ${index} does not exist`);
    if (this.#closed) throw slotError("the model is being unloaded");
    if (slot.job || this.#arrived.some((one) => one.slot === slot)) throw slotError(`slot ${index} is busy`);
    const job = new Job({ ...options, wake: () => this.#wake() });
    this.#arrived.push({ slot, job });
    this.#wake();
    return job;
  }

  /** Cancels everything and waits for the running step. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { job } of [...this.#arrived, ...this.#slots]) if (job) job.canceled = true;
    this.#wake();
    await this.#loop;
  }

  #wake(): void {
    this.#loop ??= this.#run();
  }

  async #run(): Promise<void> {
    try {
      // Let jobs that arrive together start together.
      await Promise.resolve();
      while (this.#settle()) {
        const decoding = this.#slots.filter(({ job }) => job?.isDecoding && job.ahead < limits.tokensAheadMax);
        const prefilling = this.#nextPrefill();
        if (decoding.length === 0 && !prefilling) return;
        if (decoding.length > 0) await this.#decode(decoding);
        if (prefilling?.job) await this.#prefill(prefilling, prefilling.job);
      }
    } finally {
      this.#loop = undefined;
    }
  }

  /** Between two steps: ends what was canceled, lets in what arrived. Returns whether any job is there. */
  #settle(): boolean {
    for (const slot of this.#slots) if (slot.job?.canceled) this.#end(slot, "CANCELLED");
    for (const { slot, job } of this.#arrived.splice(0)) {
      slot.job = job;
      if (job.canceled) this.#end(slot, "CANCELLED");
      else this.#admit(slot, job);
    }
    return this.#slots.some(({ job }) => job);
  }

  #admit(slot: Slot, job: Job): void {
    try {
      slot.admit(job);
    } catch (error) {
      this.#fail(slot, error);
    }
  }

  /** Returns the next slot with a prompt to compute, each in its turn. */
  #nextPrefill(): Slot | undefined {
    const waiting = this.#slots.filter(({ job }) => job && !job.isDecoding);
    return waiting.find(({ index }) => index > this.#lastPrefilled) ?? waiting[0];
  }

  async #prefill(slot: Slot, job: Job): Promise<void> {
    const { context } = this.#options;
    const { tokens } = job.options;
    this.#lastPrefilled = slot.index;
    const piece = tokens.slice(job.computed, job.computed + this.#pieceTokens(tokens.length - job.computed));
    const isLast = job.computed + piece.length === tokens.length;
    const startMs = performance.now();
    await this.#compute([slot], async () => {
      context.initBatch(piece.length);
      const wanted = isLast ? Uint32Array.of(piece.length - 1) : new Uint32Array(0);
      const logits = context.addToBatch(slot.index, slot.length, Uint32Array.from(piece), wanted);
      await context.decodeBatch();
      slot.add(piece);
      job.computed += piece.length;
      const rate = piece.length / Math.max(0.001, performance.now() - startMs);
      if (piece.length >= pieceTokensMin) this.#prefillTokensPerMs = (this.#prefillTokensPerMs + rate) / 2;
      if (isLast) this.#take(slot, await context.sampleToken(logits[0], job.options.sampler));
    });
  }

  /** Returns how many tokens to compute next: what fits the time, and no last group of rows left over for itself. */
  #pieceTokens(left: number): number {
    const isShared = this.#slots.some(({ job }) => job?.isDecoding);
    const aim = this.#prefillTokensPerMs * (isShared ? pieceMs.shared : pieceMs.alone);
    const fitting = Math.max(pieceTokensMin, Math.floor(aim / pieceTokensMin) * pieceTokensMin);
    const tokens = this.#options.fixedPieces ? this.#pieceTokensMax : Math.min(fitting, this.#pieceTokensMax);
    return left <= tokens + rowGroup ? left : tokens;
  }

  async #decode(slots: readonly Slot[]): Promise<void> {
    const { context } = this.#options;
    await this.#compute(slots, async () => {
      context.initBatch(slots.length);
      const first = Uint32Array.of(0);
      const logits = slots.map((slot) =>
        context.addToBatch(slot.index, slot.length, Uint32Array.of(slot.job!.last), first)[0]
      );
      await context.decodeBatch();
      for (const slot of slots) slot.add([slot.job!.last]);
      const sampled = slots.map(({ job }, i) => context.sampleToken(logits[i], job!.options.sampler));
      (await Promise.all(sampled)).forEach((token, i) => this.#take(slots[i], token));
    });
  }

  /** Hands a sampled token on, or ends the job. */
  #take(slot: Slot, token: number): void {
    const job = slot.job!;
    const { tokens, maxTokens } = job.options;
    if (token < 0) return this.#fail(slot, new Error("no token could be chosen"));
    if (this.#options.isEnd(token)) return this.#end(slot, "EOS");
    job.push(token);
    if (job.generated >= maxTokens || tokens.length + job.generated >= this.#options.contextTokens) {
      this.#end(slot, "MAX_TOKENS");
    }
  }

  #end(slot: Slot, reason: GenerationEnd["reason"]): void {
    slot.job?.end(reason);
    slot.release();
  }

  /** Runs one step; when it fails, so do the jobs in it, and only those. */
  async #compute(slots: readonly Slot[], step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      for (const slot of slots) this.#fail(slot, error);
    }
  }

  #fail(slot: Slot, cause: unknown): void {
    const state = cause instanceof Error ? cause.message : String(cause);
    slot.job?.end(new RbeeError("INFERENCE_FAILED", { message: `Cannot finish the inference: ${state}`, cause }));
    slot.release();
    try {
      slot.clear();
    } catch {
      // llama.cpp could not even forget: the next generation in this slot meets the same fault and reports it.
    }
  }
}
