import assert from "node:assert/strict";
import { workerArguments, type WorkerProcessOptions } from "./worker_process.ts";

const facts = {
  id: "worker-1a2b3c4d",
  url: "http://127.0.0.1:8081",
  port: 8081,
  modelRef: "file:/m.gguf",
  backend: "cuda",
  device: 1,
  slots: 2,
  idleMs: 0,
} as const;

const options = (more: Partial<WorkerProcessOptions> = {}): WorkerProcessOptions => ({
  facts,
  command: { exe: "llm-worker-rbee-cuda", args: [], path: "/usr/bin" },
  key: "secret",
  callbackUrl: "http://127.0.0.1:9200",
  modelFiles: [{ path: "/m.gguf", name: "m.gguf" }],
  folders: "/w",
  log: "/l",
  ...more,
});

Deno.test("a worker is told its layers and its context where the hive has settled them, and otherwise not", () => {
  const text = (more?: Partial<WorkerProcessOptions>) => workerArguments(options(more), "m.gguf").join(" ");
  assert.match(text({ gpuLayers: 20, ctx: 4_096 }), / --ctx 4096 --gpu-layers 20\b/);
  assert.match(text({ gpuLayers: 0 }), / --gpu-layers 0\b/);
  assert.doesNotMatch(text(), /--ctx|--gpu-layers|--threads|secret/);
});
