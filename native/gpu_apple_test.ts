import assert from "node:assert/strict";
import { appleGpusFrom, metalBytes, parseSystemProfiler } from "./gpu_apple.ts";
import { fixture } from "./testdata/fixture.ts";

const gib = 1024 ** 3, mib = 1024 ** 2;

Deno.test("an Apple GPU is named with its cores", () => {
  assert.deepEqual(parseSystemProfiler(fixture("system_profiler_apple_m1.json")), ["Apple M1 (7 cores)"]);
});

Deno.test("another vendor's GPU in an Intel Mac, and no JSON, are none", () => {
  const intel = JSON.stringify({
    SPDisplaysDataType: [{ sppci_model: "Radeon Pro Vega 64", spdisplays_vendor: "sppci_vendor_amd" }],
  });
  assert.deepEqual(parseSystemProfiler(intel), []);
  assert.deepEqual(parseSystemProfiler(""), []);
  assert.deepEqual(parseSystemProfiler("{}"), []);
});

Deno.test("Metal gets what real machines were seen to grant, rounded down to a mebibyte", () => {
  // abetlen/llama-cpp-python#687 (16 GB), ollama/ollama#434 (32 GB), ggml-org/llama.cpp#3213 (96 GB)
  for (const [machine, mebibytes] of [[16, 10_922], [32, 21_845], [96, 73_728]]) {
    assert.equal(Math.floor(metalBytes(machine * gib) / mib), mebibytes);
  }
});

Deno.test("a limit that the owner has set wins, but not over what is there", () => {
  assert.equal(metalBytes(32 * gib, 26_000), 26_000 * mib);
  assert.equal(metalBytes(32 * gib, 99_000), 32 * gib);
  assert.equal(metalBytes(32 * gib, 0), metalBytes(32 * gib));
});

Deno.test("what other programs hold is not free for Metal", () => {
  const memory = { totalBytes: 96 * gib, availableBytes: 20 * gib };
  assert.deepEqual(appleGpusFrom(["Apple M2 Max"], { memory }), [{
    backend: "metal",
    index: 0,
    name: "Apple M2 Max",
    memory_total_bytes: 72 * gib,
    memory_free_bytes: 20 * gib,
  }]);
  const [idle] = appleGpusFrom(["Apple M2 Max"], { memory: { totalBytes: 96 * gib, availableBytes: 90 * gib } });
  assert.equal(idle.memory_free_bytes, 72 * gib);
});
