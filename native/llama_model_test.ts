import assert from "node:assert/strict";
import { samplerConfig, samplerSeed } from "./llama_model.ts";

const off = { temperature: 0, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1, seed: 1 };

Deno.test("what is off is not in the chain of samplers", () => {
  assert.deepEqual(samplerConfig(off, [1, 2]), { seed: 1 });
  assert.deepEqual(samplerConfig({ ...off, topP: 0.5, topK: 4, minP: 0.1 }, []), { seed: 1 });
  assert.deepEqual(samplerConfig({ ...off, temperature: 0.5, topP: 0.9, topK: 4, minP: 0.1 }, []), {
    seed: 1,
    temperature: 0.5,
    topP: 0.9,
    topK: 4,
    minP: 0.1,
  });
  assert.deepEqual(samplerConfig({ ...off, repetitionPenalty: 0 }, [1]), { seed: 1 });
});

Deno.test("the penalty looks at the last tokens of the prompt", () => {
  const tokens = Array.from({ length: 100 }, (_, i) => i);
  const { repeatPenalty, repeatPenaltyTokens } = samplerConfig({ ...off, repetitionPenalty: 1.2 }, tokens);
  assert.equal(repeatPenalty, 1.2);
  assert.deepEqual([...repeatPenaltyTokens ?? []], tokens.slice(36));
});

Deno.test("seeds of 53 bits become 32 bits, small ones stay, and none becomes llama.cpp's word for random", () => {
  assert.equal(samplerSeed(0), 0);
  assert.equal(samplerSeed(123_456_789), 123_456_789);
  assert.equal(samplerSeed(2 ** 32 - 2), 2 ** 32 - 2);
  assert.equal(samplerSeed(2 ** 32 - 1), 2 ** 32 - 2);
  assert.notEqual(samplerSeed(2 ** 32 + 5), samplerSeed(5));
  const seeds = Array.from({ length: 1000 }, (_, i) => samplerSeed(Number.MAX_SAFE_INTEGER - i * 4_294_967));
  assert.equal(new Set(seeds).size, 1000);
  assert.ok(seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32 - 1));
});
