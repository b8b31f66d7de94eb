import assert from "node:assert/strict";
import { workerRoutes } from "../protocol/worker_routes.ts";
import { progressEvent } from "../protocol/progress.ts";
import type { ParsedEvent } from "../protocol/sse.ts";
import { type WorkerStatus, workerStatus } from "../protocol/worker.ts";
import type { Log } from "../runtime/log.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Measures } from "./measures.ts";
import { Requests } from "./requests.ts";
import { type ServerParts, workerEndpoints } from "./server.ts";
import { Slots } from "./slots.ts";
import { startWorker } from "./testdata/running_worker.ts";
import { type Script, ScriptedEngine } from "./testdata/scripted_engine.ts";

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => quiet };

const infer = "POST /v1/inference";

Deno.test("S30: while loading, ready says so and names the progress stream by its whole address", async () => {
  await using worker = await startWorker({ layerMs: 50, listeningOnly: true });
  const { status, json } = await worker.json("GET /v1/ready");
  assert.equal(status, 200);
  assert.deepEqual(json, { ready: false, state: "loading", progress_url: `${worker.url}/v1/loading/progress` });
  const response = await worker.request(`GET ${new URL(String(json.progress_url)).pathname}`);
  assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
  const events = await Array.fromAsync(worker.follow(response));
  assert.equal(events.at(-1)?.data, "[DONE]");
});

Deno.test("S31: the progress stream carries layers, then ready, then the end mark", async () => {
  await using worker = await startWorker({ layers: 4, layerMs: 60, listeningOnly: true });
  const events = await worker.events("GET /v1/loading/progress");
  assert.equal(events.at(-1)?.data, "[DONE]");
  const stages = events.slice(0, -1).map((e) => progressEvent.parse(JSON.parse(e.data)));
  assert.deepEqual(stages.at(-1), { stage: "ready" });
  const layers = stages.slice(0, -1).map((s) => {
    assert(s.stage === "loading_to_vram");
    assert.equal(s.layers_total, 4);
    assert.equal(s.vram_mb, s.layers_loaded * 10);
    return s.layers_loaded;
  });
  assert.deepEqual(layers, [...layers].sort((a, b) => a - b));
  assert(layers.includes(4));
});

Deno.test("who asks for progress after loading gets ready at once", async () => {
  await using worker = await startWorker();
  const events = await worker.events("GET /v1/loading/progress");
  assert.deepEqual(events.map((e) => e.data), ['{"stage":"ready"}', "[DONE]"]);
});

Deno.test("S32: when loaded, ready says idle and that the model is there", async () => {
  await using worker = await startWorker();
  const { json } = await worker.json("GET /v1/ready");
  assert.deepEqual(json, { ready: true, state: "idle", model_loaded: true });
});

Deno.test("S19, S20: health tells what the file's header says", async () => {
  await using worker = await startWorker();
  const { status, json } = await worker.json("GET /v1/health");
  assert.equal(status, 200);
  const health = workerRoutes.healthV1.answer.parse(json);
  assert.deepEqual(health.model && [health.model.variant, health.model.vocab_size, health.model.eos_token_id], [
    "QuantizedLlama",
    32_000,
    2,
  ]);
  assert.deepEqual([health.status, health.state, health.model?.quantization], ["healthy", "idle", "Q8_0"]);
  assert.deepEqual((await worker.json("GET /health")).json.model, json.model);
});

Deno.test("health is open while loading, with no model yet", async () => {
  await using worker = await startWorker({ layerMs: 50, listeningOnly: true });
  const response = await fetch(`${worker.url}/v1/health`);
  assert.equal((await response.json()).model, null);
});

Deno.test("everything but health and metrics needs the key", async () => {
  await using worker = await startWorker();
  for (const route of Object.values(workerRoutes)) {
    const what = `${route.method} ${route.path.replace(":id", "x")}`;
    const response = await worker.request(what, { key: "wrong", body: route.method === "POST" ? {} : undefined });
    const text = await response.text();
    if (route.access === "public") assert.equal(response.status, 200, what);
    else assert.match(`${response.status} ${text}`, /^401 .*INVALID_API_KEY/, what);
  }
  assert.equal((await worker.json("GET /v1/health")).json.state, "idle");
});

/** Collects the hive's events until the worker ends. */
async function statuses(events: AsyncIterable<ParsedEvent>): Promise<WorkerStatus[]> {
  return (await Array.fromAsync(events)).map((e) => workerStatus.parse(JSON.parse(e.data)));
}

Deno.test("the events say loading, idle, busy, idle and draining, each with its slots", async () => {
  const calibration = { threads: 2, tokensPerSecond: { "1": 10, "2": 20 } };
  await using worker = await startWorker({ layerMs: 20, listeningOnly: true, tokenMs: 5, calibration });
  const all = statuses(worker.follow(await worker.request("GET /v1/events")));
  await worker.reaches("idle");
  const beforeUnix = Date.now() / 1_000;
  await worker.json(infer, { prompt: "hi", stream: false });
  await worker.json("POST /v1/admin/shutdown", {});
  const seen = await all;
  const states = seen.map((s) => `${s.state} ${s.slots_available}/${s.slots_total}`);
  assert.deepEqual([...new Set(states)], ["loading 0/1", "idle 1/1", "busy 0/1", "draining 0/1"]);
  assert.deepEqual(states.slice(-4), ["idle 1/1", "busy 0/1", "idle 1/1", "draining 0/1"]);
  assert(seen.at(-1)!.last_request_unix >= beforeUnix);
  assert.deepEqual(seen.filter((s) => s.calibration).map((s) => s.calibration), [
    { threads: 2, tokens_per_second: { "1": 10, "2": 20 } },
  ]);
  assert.equal(seen.at(-1)!.ctx, 1_000);
});

Deno.test("S40: a reader of events sees the slot free within a second of a cancel", async () => {
  await using worker = await startWorker({ endless: true, tokenMs: 5 });
  const events = worker.follow(await worker.request("GET /v1/events"));
  const reading = worker.events(infer, { prompt: "hi", request_id: "c", max_tokens: 100_000 });
  let canceledMs = 0;
  for await (const event of events) {
    const { state } = JSON.parse(event.data);
    if (state === "busy") {
      canceledMs = performance.now();
      await worker.json("DELETE /v1/inference/c");
    } else if (canceledMs > 0) {
      break;
    }
  }
  assert(performance.now() - canceledMs < 1_000);
  await reading;
});

Deno.test("metrics count tokens, requests by their end, times and slots", async () => {
  await using worker = await startWorker();
  const metric = async (line: RegExp) => {
    const text = await (await worker.request("GET /metrics")).text();
    return Number(text.match(line)?.[1] ?? NaN);
  };
  const before = await metric(/^rbee_worker_tokens_generated_total (\d+)/m);
  await worker.json(infer, { prompt: "hi", stream: false });
  assert.equal(await metric(/^rbee_worker_tokens_generated_total (\d+)/m), before + 4);
  assert(await metric(/^rbee_worker_requests_total\{end="EOS"\} (\d+)/m) >= 1);
  assert(await metric(/^rbee_worker_time_to_first_token_seconds_count (\d+)/m) >= 1);
  assert(await metric(/^rbee_worker_inter_token_seconds_count (\d+)/m) >= 3);
  assert(await metric(/^rbee_worker_prompt_tokens_total (\d+)/m) >= 2);
  assert.deepEqual([await metric(/^rbee_worker_slots_busy (\d+)/m), await metric(/^rbee_worker_slots_total (\d+)/m)], [
    0,
    1,
  ]);
});

Deno.test("a client that left before anybody listened for it ends its request, and frees the slot", async () => {
  const { parts, lifecycle } = await loadedParts({ endless: true });
  const infers = workerEndpoints(parts).find(({ route }) => route === workerRoutes.inference)!;
  const body = workerRoutes.inference.body.parse({ prompt: "hi", stream: false, max_tokens: 900 });
  const context = { signal: AbortSignal.abort(), correlationId: "c" };
  const input = { body, query: {}, params: {}, context } as unknown as Parameters<typeof infers.handler>[0];
  await assert.rejects(async () => await infers.handler(input), { code: "REQUEST_CANCELED" });
  assert.equal(lifecycle.slotsBusy, 0);
});

/** Returns what the endpoints work on, its model loaded; without a server, for what no client can time. */
async function loadedParts(script: Script): Promise<{ parts: ServerParts; lifecycle: Lifecycle }> {
  const lifecycle = new Lifecycle({ workerId: "worker-test", slotsTotal: 1 });
  const load = { modelPath: "tiny.gguf", backend: "cpu" as const, device: 0, slots: 1, onProgress() {}, onLog() {} };
  const model = await new ScriptedEngine(script).load({ ...load, signal: new AbortController().signal });
  lifecycle.loaded(model.facts);
  const own = { slots: new Slots(lifecycle), requests: new Requests(), measures: new Measures(), log: quiet };
  const told = { modelRef: "builtin:tiny", url: () => "", shutDown() {}, onEventsLeft() {} };
  return { parts: { lifecycle, ...own, ...told, model: () => model }, lifecycle };
}
