import assert from "node:assert/strict";
import { limits } from "../protocol/limits.ts";
import { Batching, type BatchingOptions } from "./llama_batching.ts";
import type { ContextBinding, SamplerBinding } from "./llama_binding.ts";
import type { Job } from "./llama_slot.ts";

const end = 999;
const sampler: SamplerBinding = { applyConfig: () => {}, dispose: () => {} };
const never = new AbortController().signal;

/** A context that counts instead of computing: the token after position n is n + 1, and every batch is written down. */
class CountingContext implements ContextBinding {
  readonly batches: { sequence: number; position: number; tokens: number[] }[][] = [];
  readonly lengths = new Map<number, number>();
  failAt = -1;
  endAt = Infinity;
  computing = false;
  #rows: number[] = [];

  initBatch(): void {
    assert.equal(this.computing, false, "a batch was begun while another one is computed");
    this.batches.push([]);
    this.#rows = [];
  }

  addToBatch(sequence: number, position: number, tokens: Uint32Array): Uint32Array {
    assert.equal(position, this.lengths.get(sequence) ?? 0, "positions must go on without a gap");
    this.batches.at(-1)!.push({ sequence, position, tokens: [...tokens] });
    this.#rows.push(position + tokens.length);
    this.lengths.set(sequence, position + tokens.length);
    return Uint32Array.of(this.#rows.length - 1);
  }

  async decodeBatch(): Promise<void> {
    this.computing = true;
    await new Promise((resolve) => setTimeout(resolve, 1));
    this.computing = false;
    if (this.batches.length - 1 === this.failAt) throw new Error("Eval has failed");
  }

  async sampleToken(row: number): Promise<number> {
    const token = this.#rows[row];
    await Promise.resolve();
    return token >= this.endAt ? end : token;
  }

  disposeSequence(sequence: number): void {
    assert.equal(this.computing, false, "the cache was touched while a batch is computed");
    this.lengths.delete(sequence);
  }

  removeTokenCellsFromSequence(sequence: number, start: number): boolean {
    assert.equal(this.computing, false, "the cache was touched while a batch is computed");
    this.lengths.set(sequence, start);
    return true;
  }

  getSequenceKvCacheMinPosition(): number {
    return 0;
  }

  setThreads(): void {}
}

function create(context: ContextBinding, options: Partial<BatchingOptions> = {}): Batching {
  return new Batching({
    context,
    slots: 4,
    contextTokens: 5_000,
    isEnd: (token) => token === end,
    batchTokens: 512,
    fixedPieces: false,
    tokensPerSecond: 100,
    ...options,
  });
}

interface StartOptions {
  readonly tokens?: number[];
  readonly maxTokens?: number;
  readonly signal?: AbortSignal;
}

function start(batching: Batching, slot: number, options: StartOptions = {}): Job {
  const { tokens = [7, 7, 7], maxTokens = 10, signal = never } = options;
  return batching.start(slot, { sampler, tokens, maxTokens, signal, reproducible: true });
}

async function all(job: Job) {
  const tokens: number[] = [];
  while (true) {
    const taken = await job.take();
    if (typeof taken !== "number") return { tokens, ...taken };
    tokens.push(taken);
  }
}

const promptOf = (length: number) => Array.from({ length }, (_, i) => i);

Deno.test("slots that decode share every batch, in slot order, and a prompt shares none", async () => {
  const context = new CountingContext();
  const batching = create(context);
  const answers = await Promise.all([2, 0, 3, 1].map((slot) => all(start(batching, slot, { maxTokens: 20 }))));
  for (const { tokens, reason } of answers) {
    assert.deepEqual(tokens, Array.from({ length: 20 }, (_, i) => 3 + i));
    assert.equal(reason, "MAX_TOKENS");
  }
  const prompts = context.batches.filter((batch) => batch.some(({ tokens }) => tokens.length > 1));
  assert.equal(prompts.length, 4);
  assert.ok(prompts.every((batch) => batch.length === 1));
  const full = context.batches.filter((batch) => batch.length === 4);
  assert.ok(full.length >= 14, `only ${full.length} full batches`);
  for (const batch of context.batches) {
    const order = batch.map(({ sequence }) => sequence);
    assert.deepEqual(order, order.toSorted((a, b) => a - b));
  }
});

Deno.test("a long prompt comes in pieces of whole groups of rows, and the others decode between them", async () => {
  const context = new CountingContext();
  const batching = create(context);
  const other = all(start(batching, 0, { maxTokens: 500 }));
  const { tokens } = await all(start(batching, 1, { tokens: promptOf(2_001), maxTokens: 1 }));
  await batching.close();
  await other;
  assert.deepEqual(tokens, [2_001]);
  const pieces = context.batches.flatMap((batch, at) =>
    batch.flatMap((one) => one.sequence === 1 ? [{ ...one, at }] : [])
  );
  assert.deepEqual(pieces.flatMap((piece) => piece.tokens), promptOf(2_001));
  assert.ok(pieces.length > 3);
  for (const piece of pieces.slice(0, -1)) assert.equal(piece.tokens.length % 4, 0);
  assert.ok(pieces.at(-1)!.tokens.length > 4, "the rest must not be a group of its own");
  for (const [i, piece] of pieces.slice(1).entries()) assert.ok(piece.at - pieces[i].at >= 2);
});

Deno.test("nobody reads: the slot stops after a few tokens, the others do not, and it goes on when read", async () => {
  const context = new CountingContext();
  const batching = create(context);
  const stalled = start(batching, 0, { maxTokens: 50 });
  await all(start(batching, 1, { maxTokens: 60 }));
  assert.equal(stalled.ahead, limits.tokensAheadMax);
  const { tokens } = await all(stalled);
  assert.equal(tokens.length, 50);
});

Deno.test("a step that fails ends the generations in it with an error; the slot and the others go on", async () => {
  const context = new CountingContext();
  const batching = create(context);
  const other = all(start(batching, 3, { maxTokens: 30 }));
  await new Promise((resolve) => setTimeout(resolve, 5));
  const failing = start(batching, 0, { tokens: promptOf(900) });
  context.failAt = context.batches.length + 2;
  while (context.batches.length <= context.failAt) await new Promise((resolve) => setTimeout(resolve, 1));
  const outcomes = await Promise.allSettled([all(failing), other]);
  const codes = outcomes.flatMap((outcome) => outcome.status === "rejected" ? [outcome.reason.code] : []);
  assert.deepEqual(codes, ["INFERENCE_FAILED"]);
  context.failAt = -1;
  assert.equal((await all(start(batching, 0))).tokens.length, 10);
});

Deno.test("end tokens, cancels, closing and leaving each end a generation their own way and free the slot", async () => {
  const context = new CountingContext();
  const batching = create(context);
  context.endAt = 6;
  assert.deepEqual({ ...await all(start(batching, 0)), decodeMs: 0, prefillMs: 0 }, {
    tokens: [3, 4, 5],
    reason: "EOS",
    promptTokensCached: 0,
    prefillMs: 0,
    decodeMs: 0,
  });
  context.endAt = Infinity;
  const controller = new AbortController();
  const canceled = start(batching, 0, { maxTokens: 4_000, signal: controller.signal });
  await canceled.take();
  controller.abort();
  assert.equal((await all(canceled)).reason, "CANCELLED");
  const left = start(batching, 0, { maxTokens: 4_000 });
  await left.take();
  await left.leave();
  assert.throws(() => start(batching, 4), /slot 4 does not exist/);
  const last = start(batching, 0, { maxTokens: 4_000 });
  assert.throws(() => start(batching, 0), /slot 0 is busy/);
  await batching.close();
  assert.equal((await all(last)).reason, "CANCELLED");
  assert.throws(() => start(batching, 1), /being unloaded/);
});

Deno.test("what a slot holds is used again in whole groups of rows, and never the last two tokens", async () => {
  const context = new CountingContext();
  const batching = create(context);
  const cached = async (tokens: number[]) => (await all(start(batching, 0, { tokens }))).promptTokensCached;
  assert.equal(await cached(promptOf(21)), 0);
  assert.equal(await cached(promptOf(21)), 16);
  assert.equal(await cached(promptOf(22)), 20);
  assert.equal(await cached([...promptOf(11), 77, 78, 79, 80]), 8);
  assert.equal(await cached([1, 2]), 0);
});
