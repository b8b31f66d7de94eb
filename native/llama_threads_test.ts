import assert from "node:assert/strict";
import type { ContextBinding } from "./llama_binding.ts";
import { calibrateThreads, chooseThreads, threadCandidates } from "./llama_threads.ts";

const gigabytes = 1e9;

Deno.test("candidates are powers of two up to the cores, and the cores", () => {
  assert.deepEqual(threadCandidates(1, 1), [1]);
  assert.deepEqual(threadCandidates(2, 1), [1, 2]);
  assert.deepEqual(threadCandidates(6, 1), [1, 2, 4, 6]);
  assert.deepEqual(threadCandidates(16, 1), [1, 2, 4, 8, 16]);
});

Deno.test("a large model is not tried with few threads, but always with some", () => {
  assert.deepEqual(threadCandidates(16, 5 * gigabytes), [4, 8, 16]);
  assert.deepEqual(threadCandidates(2, 40 * gigabytes), [2]);
});

Deno.test("the fewest threads win when more bring less than a tenth", () => {
  assert.equal(chooseThreads(new Map([[1, 100], [2, 105], [4, 109]])), 1);
  assert.equal(chooseThreads(new Map([[1, 100], [2, 180], [4, 190]])), 2);
  assert.equal(chooseThreads(new Map([[1, 1000], [2, 20]])), 1);
});

/** A context whose step takes as long as `stepMs` says for the number of threads in force, by a clock of its own. */
function timedContext(stepMs: (threads: number) => number) {
  let clockMs = 0;
  const seen = { threads: 0, steps: [] as number[], positionMax: 0, disposed: 0 };
  const context: Partial<ContextBinding> = {
    initBatch: () => {},
    addToBatch: (_sequence, position) => {
      seen.positionMax = Math.max(seen.positionMax, position);
      return Uint32Array.of(0);
    },
    decodeBatch: () => {
      seen.steps.push(seen.threads);
      clockMs += stepMs(seen.threads);
      return Promise.resolve();
    },
    disposeSequence: () => void seen.disposed++,
    setThreads: (threads) => void (seen.threads = threads),
  };
  return { context: context as ContextBinding, seen, now: () => clockMs };
}

const signal = new AbortController().signal;

Deno.test("the measured best is chosen, and a hopeless number is left after its first step", async () => {
  const { context, seen, now } = timedContext((threads) => threads === 4 ? 120 : 12 / threads);
  const calibration = await calibrateThreads({ context, cores: 4, modelBytes: 1, token: 0, signal, now });
  assert.equal(calibration.threads, 2);
  assert.deepEqual(Object.keys(calibration.tokensPerSecond), ["1", "2", "4"]);
  assert.equal(seen.steps.filter((threads) => threads === 4).length, 1);
  assert.ok(seen.positionMax < 64 && seen.disposed >= 1);
});

Deno.test("a model whose steps are slow ends the measurement with its budget", async () => {
  const { context, seen, now } = timedContext(() => 800);
  const calibration = await calibrateThreads({ context, cores: 16, modelBytes: 1, token: 0, signal, now });
  assert.ok(now() <= 4_000);
  assert.ok(calibration.threads >= 1 && seen.steps.length < 6);
});

Deno.test("a canceled load ends the measurement", async () => {
  const { context } = timedContext(() => 5);
  const reason = new Error("enough");
  const calibrating = calibrateThreads({
    context,
    cores: 2,
    modelBytes: 1,
    token: 0,
    signal: AbortSignal.abort(reason),
  });
  await assert.rejects(calibrating, reason);
});
