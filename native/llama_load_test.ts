import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import type { LoadProgress } from "./engine.ts";
import { LayerProgress, loadError, LogTail, withConsoleTo } from "./llama_load.ts";

Deno.test("layers are said first, last, and at most twenty times a second between", async () => {
  const seen: LoadProgress[] = [];
  const progress = new LayerProgress((one) => seen.push(one), { layers: 32, bytes: 64 * 1024 * 1024 });
  const startMs = performance.now();
  for (let i = 0; i <= 200; i++) {
    progress.at(i / 200);
    if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  progress.end();
  const seconds = (performance.now() - startMs) / 1000;
  assert.deepEqual(seen[0], { layersLoaded: 0, layersTotal: 32, vramMb: 0 });
  assert.deepEqual(seen.at(-1), { layersLoaded: 32, layersTotal: 32, vramMb: 64 });
  assert.ok(seen.length > 2 && seen.length <= seconds * 20 + 2, `${seen.length} events in ${seconds} s`);
  const layers = seen.map(({ layersLoaded }) => layersLoaded);
  assert.deepEqual(layers, layers.toSorted((a, b) => a - b));
});

Deno.test("what the library writes to the console goes to the log, except that its self-test is bundled", async () => {
  const lines: string[] = [];
  const tail = new LogTail((line) => lines.push(line));
  const { warn, error } = console;
  const value = await withConsoleTo(tail, () => {
    console.warn('[node-llama-cpp] "testBindingBinary.js" file is not independent');
    console.error("[node-llama-cpp] Failed to load a prebuilt binary:", new TypeError("no such file"));
    return Promise.resolve(5);
  });
  assert.equal(value, 5);
  assert.deepEqual(lines, ["Failed to load a prebuilt binary: TypeError: no such file"]);
  await assert.rejects(withConsoleTo(tail, () => Promise.reject(new Error("down"))));
  assert.ok(console.warn === warn && console.error === error);
});

Deno.test("the log keeps its last lines, short, and an error says the reason that llama.cpp gave", () => {
  const tail = new LogTail();
  for (let i = 0; i < 100; i++) tail.add(`line ${i} ${"x".repeat(1000)}\n`);
  tail.add("  \n");
  tail.add("llama_model_load: error loading model: missing tensor 'a'\n");
  tail.add("failed to load model");
  assert.equal(tail.lines.length, 20);
  assert.ok(tail.lines.every((line) => line.length <= 500));
  const error = loadError(new Error("Failed to load model"), tail);
  assert.equal(error.code, "MODEL_LOAD_FAILED");
  assert.equal(error.message, "Cannot load the model: missing tensor 'a'");
  assert.equal(loadError(new Error("no memory"), new LogTail()).message, "Cannot load the model: no memory");
  const known = new RbeeError("BACKEND_UNAVAILABLE");
  assert.equal(loadError(known, tail), known);
});
