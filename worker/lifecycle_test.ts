import assert from "node:assert/strict";
import type { ModelFacts } from "../native/engine.ts";
import { RbeeError } from "../protocol/error.ts";
import { workerStatus } from "../protocol/worker.ts";
import { Lifecycle } from "./lifecycle.ts";

const facts: ModelFacts = {
  variant: "QuantizedLlama",
  architecture: "llama",
  quantization: "Q8_0",
  vocabSize: 10,
  eosTokenId: 2,
  contextTokens: 128,
  contextTokensTrained: 256,
  layersTotal: 2,
  sizeBytes: 1,
  memoryBytes: 1024 * 1024,
  backend: "cpu",
  threads: 1,
  hasChatTemplate: false,
};

function newLifecycle(slotsTotal = 2): Lifecycle {
  return new Lifecycle({ workerId: "worker-1", slotsTotal });
}

const code = (expected: string) => (error: unknown) => error instanceof RbeeError && error.code === expected;

Deno.test("a worker goes from loading to idle, to busy with its first request, and back with its last", () => {
  const lifecycle = newLifecycle();
  const seen = [lifecycle.state];
  const see = () => seen.push(lifecycle.state);
  lifecycle.loaded(facts), see();
  lifecycle.slotTaken(), see();
  lifecycle.slotTaken(), see();
  lifecycle.slotFreed(), see();
  lifecycle.slotFreed(), see();
  lifecycle.drain(), see();
  assert.deepEqual(seen, ["loading", "idle", "busy", "busy", "busy", "idle", "draining"]);
});

Deno.test("a worker that loads has no slot available and refuses with how far it is", () => {
  const lifecycle = newLifecycle();
  lifecycle.loadProgressed({ layersLoaded: 28, layersTotal: 32, vramMb: 100 });
  const status = workerStatus.parse(lifecycle.status());
  assert.deepEqual([status.state, status.slots_available, status.layers_loaded], ["loading", 0, 28]);
  assert.throws(() => lifecycle.checkAccepting(), (error) => {
    assert(code("WORKER_NOT_READY")(error));
    assert.equal((error as RbeeError).details.layers_loaded, 28);
    return true;
  });
});

Deno.test("a worker that drains refuses, and stays draining when its requests end", () => {
  const lifecycle = newLifecycle();
  lifecycle.loaded(facts);
  lifecycle.slotTaken();
  lifecycle.drain();
  lifecycle.slotFreed();
  assert.equal(lifecycle.state, "draining");
  assert.equal(lifecycle.status().slots_available, 0);
  assert.throws(() => lifecycle.checkAccepting(), code("SHUTTING_DOWN"));
});

Deno.test("a load that comes to its end after draining began changes nothing", () => {
  const lifecycle = newLifecycle();
  lifecycle.drain();
  lifecycle.loaded(facts);
  assert.equal(lifecycle.state, "draining");
});

Deno.test("a failed load is said in the status, and every request is refused with it", () => {
  const lifecycle = newLifecycle();
  lifecycle.loadFailed(new RbeeError("MODEL_LOAD_FAILED", { details: { why: "damaged" } }));
  const status = workerStatus.parse(lifecycle.status());
  assert.deepEqual(status.error?.code, "MODEL_LOAD_FAILED");
  assert.deepEqual(status.error?.details, { why: "damaged" });
  assert.throws(() => lifecycle.checkAccepting(), code("MODEL_LOAD_FAILED"));
});

Deno.test("a loaded worker says its context and memory", () => {
  const lifecycle = newLifecycle();
  lifecycle.loaded(facts);
  const status = workerStatus.parse(lifecycle.status());
  assert.deepEqual([status.ctx, status.memory_bytes, status.vram_mb], [128, 1024 * 1024, 1]);
  assert.equal(status.slots_available, 2);
});

Deno.test("a watcher sees the state at once and each later one, and ends when the lifecycle closes", async () => {
  const lifecycle = newLifecycle();
  const seen: string[] = [];
  const watching = (async () => {
    for await (const _change of lifecycle.watch(new AbortController().signal)) seen.push(lifecycle.state);
  })();
  const turn = () => new Promise((resolve) => setTimeout(resolve, 0));
  await turn();
  lifecycle.loaded(facts);
  await turn();
  lifecycle.slotTaken();
  await turn();
  lifecycle.slotFreed();
  await turn();
  lifecycle.drain();
  lifecycle.close();
  await watching;
  assert.deepEqual(seen, ["loading", "idle", "busy", "idle", "draining"]);
});

Deno.test("a watcher whose reader left ends", async () => {
  const lifecycle = newLifecycle();
  const reader = new AbortController();
  const watching = (async () => {
    for await (const _change of lifecycle.watch(reader.signal)) { /* nothing to see */ }
  })();
  reader.abort();
  await watching;
});

Deno.test("progress that comes faster than the interval is told once, its first and last always", async () => {
  const lifecycle = newLifecycle();
  const seen: (number | undefined)[] = [];
  const reader = new AbortController();
  const watching = (async () => {
    for await (const _change of lifecycle.watch(reader.signal)) seen.push(lifecycle.progress?.layersLoaded);
  })();
  for (let layer = 0; layer <= 100; layer++) {
    lifecycle.loadProgressed({ layersLoaded: layer, layersTotal: 100, vramMb: layer });
    await Promise.resolve().then(() => {}).then(() => {}).then(() => {});
  }
  reader.abort();
  await watching;
  assert.equal(seen.at(-1), 100);
  assert(seen.length < 10, `told ${seen.length} times`);
});
