import assert from "node:assert/strict";
import { contextChoices, memoryFloor, memoryNeed } from "./memory_need.ts";
import type { ModelShape } from "./model.ts";

const mb = 1024 * 1024;

/** SmolLM2-135M in Q4_1. */
const shape: ModelShape = {
  architecture: "llama",
  layers: 30,
  context_length: 8_192,
  vocab_size: 49_152,
  embedding_length: 576,
  feed_forward_length: 1_536,
  head_count: 9,
  kv_elements_per_token: 11_520,
  layer_bytes: 66_493_440,
  other_bytes: 30_083_328,
};
const model = { size_bytes: 98_362_432, shape };
const cpu = { backend: "cpu", slots: 1 } as const;
const cuda = { backend: "cuda", slots: 1 } as const;

Deno.test("the rule of S23 is exact, and no need is below it", () => {
  assert.equal(memoryFloor(5_000 * mb), 6_000 * mb);
  assert.equal(memoryNeed({ size_bytes: 5_000 * mb, shape: null }, cpu).totalBytes, 6_000 * mb);
  assert.equal(memoryNeed({ size_bytes: 5_000 * mb, shape }, cpu).totalBytes, 6_000 * mb);
});

Deno.test("keys and values grow with context and slots, and with nothing else", () => {
  const at = (ctx: number, slots = 1) => memoryNeed(model, { ...cpu, ctx, slots }).totalBytes;
  const perToken = 11_520 * 2 + 64;
  assert.equal(at(4_096, 4) - at(4_096, 1), 3 * 4_096 * perToken);
  assert.equal(at(1_024) - at(512), 512 * perToken, "below that the chances of all words are the larger buffer");
  assert.ok(at(8_192) - at(4_096) > 4_096 * perToken, "above that the heads are, without flash attention");
  assert.equal(at(100_000), at(8_192), "no more than the model was trained for");
  assert.equal(memoryNeed(model, cpu).totalBytes, at(8_192), "which is what it gets unasked");
});

Deno.test("on a GPU the weights are the device's and the program the machine's", () => {
  const need = memoryNeed(model, { ...cuda, ctx: 2_048 });
  assert.ok(need.deviceBytes > 92 * mb + 45 * mb && need.hostBytes > 135 * mb);
  assert.equal(need.totalBytes, need.hostBytes + need.deviceBytes);
  const none = memoryNeed(model, { ...cuda, ctx: 2_048, gpuLayers: 0 });
  assert.ok(none.hostBytes > 92 * mb + 45 * mb + 135 * mb);
});

Deno.test("each layer more on the GPU is one less on the machine", () => {
  const needs = [1, 10, 20, 29].map((gpuLayers) => memoryNeed(model, { ...cuda, ctx: 8_192, gpuLayers }));
  for (let i = 1; i < needs.length; i++) {
    assert.ok(needs[i].deviceBytes > needs[i - 1].deviceBytes);
    assert.ok(needs[i].hostBytes < needs[i - 1].hostBytes);
  }
});

Deno.test("what nobody asked for may be halved down to 4096 tokens, what was asked for may not", () => {
  assert.deepEqual(contextChoices(shape), [8_192, 4_096]);
  assert.deepEqual(contextChoices({ ...shape, context_length: 131_072 }).at(-1), 4_096);
  assert.deepEqual(contextChoices({ ...shape, context_length: 2_048 }), [2_048]);
  assert.deepEqual(contextChoices(shape, 6_000), [6_000]);
  assert.deepEqual(contextChoices(shape, 60_000), [8_192]);
  assert.deepEqual(contextChoices(null), [4_096]);
});
