import assert from "node:assert/strict";
import { rbeeDialect } from "../protocol/dialects/rbee.ts";
import { RbeeError } from "../protocol/error.ts";
import { inferenceAnswer, inferenceEnd, inferenceRequest } from "../protocol/inference.ts";
import type { ParsedEvent } from "../protocol/sse.ts";
import { openLog } from "../runtime/log.ts";
import { admit } from "./admission.ts";
import { writeGeneration } from "./inference.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Measures } from "./measures.ts";
import { Requests } from "./requests.ts";
import { Slots } from "./slots.ts";
import { key, startWorker } from "./testdata/running_worker.ts";
import { ScriptedEngine } from "./testdata/scripted_engine.ts";

const infer = "POST /v1/inference";
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The default events of a stream as values, the end mark left out. */
function values(events: ParsedEvent[]): Record<string, unknown>[] {
  return events.filter((e) => e.event === undefined && e.data !== "[DONE]").map((e) => JSON.parse(e.data));
}

function textOf(events: ParsedEvent[]): string {
  return values(events).map((v) => v.token ?? "").join("");
}

Deno.test("S34: tokens with their index, the terminal event, the end mark", async () => {
  await using worker = await startWorker();
  const events = await worker.events(infer, { prompt: "write a short story", max_tokens: 20, request_id: "t-1" });
  const tokens = values(events);
  assert.deepEqual(tokens.slice(0, 4), [
    { token: "Once", index: 0 },
    { token: " upon", index: 1 },
    { token: " a", index: 2 },
    { token: " time", index: 3 },
  ]);
  assert.deepEqual(events.slice(0, 4).map((e) => e.id), ["0", "1", "2", "3"]);
  const end = inferenceEnd.parse(tokens[4]);
  assert.deepEqual([end.total_tokens, end.prompt_tokens, end.stop_reason], [4, "write a short story".length, "EOS"]);
  assert.deepEqual([events.length, events.at(-1)?.data], [6, "[DONE]"]);
});

Deno.test("a request without an id gets one in the started event, one with an id does not", async () => {
  await using worker = await startWorker();
  const [first] = await worker.events(infer, { prompt: "hi" });
  assert.equal(first.event, "started");
  const started = JSON.parse(first.data);
  assert.equal(started.model, "builtin:tiny");
  assert.match(started.request_id, /^[0-9a-f-]{36}$/);
});

Deno.test("max_tokens ends the text with MAX_TOKENS, and is clamped to what the context leaves", async () => {
  await using worker = await startWorker({ endless: true, ctx: 100 });
  const short = values(await worker.events(infer, { prompt: "hi", max_tokens: 3 }));
  assert.deepEqual([short.at(-1)?.total_tokens, short.at(-1)?.stop_reason], [3, "MAX_TOKENS"]);
  const long = values(await worker.events(infer, { prompt: "x".repeat(90), max_tokens: 500 }));
  assert.equal(long.at(-1)?.total_tokens, 10);
});

Deno.test("a prompt that fills the context is refused with both numbers before the stream begins", async () => {
  await using worker = await startWorker({ ctx: 100 });
  const { status, json } = await worker.json(infer, { prompt: "x".repeat(100) });
  const error = json.error as { code: string; message: string; details: unknown };
  assert.deepEqual([status, error.code, error.details], [400, "CONTEXT_EXCEEDED", { prompt_tokens: 100, ctx: 100 }]);
  assert.match(error.message, /100 tokens.*100/);
  assert.equal((await worker.json(infer, { prompt: "x", stream: false })).status, 200);
});

Deno.test("a prompt that the engine refuses uncounted is told with the same two numbers", async () => {
  await using worker = await startWorker({ ctx: 100, promptCharsMax: 500 });
  const { status, json } = await worker.json(infer, { prompt: "x".repeat(501) });
  const error = json.error as { code: string; details: unknown };
  assert.deepEqual([status, error.code, error.details], [400, "CONTEXT_EXCEEDED", { prompt_tokens: 200, ctx: 100 }]);
});

Deno.test("stream false gives one object with the text and the terminal event's keys", async () => {
  await using worker = await startWorker();
  const { status, json } = await worker.json(infer, { prompt: "hi", stream: false, seed: 7, request_id: "r-1" });
  assert.equal(status, 200);
  const answer = inferenceAnswer.parse(json);
  assert.deepEqual([answer.text, answer.seed, answer.request_id], ["Once upon a time", 7, "r-1"]);
});

Deno.test("every sampling field reaches the engine, and an absent seed is made and told", async () => {
  await using worker = await startWorker();
  const sampling = { temperature: 0.5, top_p: 0.9, top_k: 40, min_p: 0.1, repetition_penalty: 1.1, seed: 42 };
  await worker.json(infer, { prompt: "hi", stream: false, ignore_eos: true, ...sampling });
  assert.deepEqual(worker.engine.generations[0].sampling, {
    temperature: 0.5,
    topP: 0.9,
    topK: 40,
    minP: 0.1,
    repetitionPenalty: 1.1,
    seed: 42,
  });
  assert.equal(worker.engine.generations[0].ignoreEos, true);
  const { json } = await worker.json(infer, { prompt: "hi", stream: false });
  assert.equal(json.seed, worker.engine.generations[1].sampling.seed);
});

Deno.test("a stop string across tokens cuts the text there, with one event for each token", async () => {
  await using worker = await startWorker({ pieces: ["one ", "EN", "D two", " three"], endless: true });
  const tokens = values(await worker.events(infer, { prompt: "hi", stop: ["END"], request_id: "s" }));
  assert.deepEqual(tokens.slice(0, -1), [
    { token: "one ", index: 0 },
    { token: "", index: 1 },
    { token: "", index: 2 },
  ]);
  assert.deepEqual([tokens.at(-1)?.stop_reason, tokens.at(-1)?.total_tokens], ["STOP_SEQUENCE", 3]);
});

Deno.test("what was held back for a stop string comes at the end, repeating the last index", async () => {
  await using worker = await startWorker({ pieces: ["one ", "EN"] });
  const tokens = values(await worker.events(infer, { prompt: "hi", stop: ["END"], request_id: "s" }));
  assert.deepEqual(tokens.slice(0, -1), [
    { token: "one ", index: 0 },
    { token: "", index: 1 },
    { token: "EN", index: 1 },
  ]);
  assert.equal(tokens.at(-1)?.total_tokens, 2);
});

Deno.test("S35: one request too many is 503 ALL_SLOTS_BUSY with both numbers, beside the code as well", async () => {
  await using worker = await startWorker({ endless: true, tokenMs: 5 });
  const first = await worker.request(infer, { body: { prompt: "hi", request_id: "a", max_tokens: 1_000 } });
  const { status, json } = await worker.json(infer, { prompt: "hi" });
  const error = json.error as Record<string, unknown>;
  assert.deepEqual([status, error.code, error.slots_total, error.slots_busy], [503, "ALL_SLOTS_BUSY", 1, 1]);
  assert.match(String(error.message), /try again later/);
  await first.body?.cancel();
});

Deno.test("with two slots two texts come at once, and a third is refused", async () => {
  await using worker = await startWorker({ endless: true, tokenMs: 2, flags: { slots: 2 } });
  const ask = () => worker.request(infer, { body: { prompt: "hi", max_tokens: 30 } });
  const [a, b] = await Promise.all([ask(), ask()]);
  assert.equal((await worker.json(infer, { prompt: "hi" })).status, 503);
  const [one, two] = await Promise.all([a, b].map((r) => Array.fromAsync(worker.follow(r))));
  assert.equal(textOf(one), textOf(two));
  assert.deepEqual(worker.engine.generations.map((g) => g.slot).sort(), [0, 1]);
});

Deno.test("whoever has read the terminal event finds the slot free", async () => {
  await using worker = await startWorker();
  for (let round = 0; round < 30; round++) {
    const events = await worker.events(infer, { prompt: "hi" });
    assert.equal(values(events).at(-1)?.done, true, `round ${round}`);
  }
});

Deno.test("S40: DELETE ends the text with CANCELLED and frees the slot, and a second one is as good", async () => {
  await using worker = await startWorker({ endless: true, tokenMs: 5 });
  const response = await worker.request(infer, { body: { prompt: "hi", request_id: "c", max_tokens: 100_000 } });
  const reading = Array.fromAsync(worker.follow(response));
  await pause(30);
  assert.equal((await worker.json("DELETE /v1/inference/c")).status, 204);
  const events = await reading;
  assert.equal(values(events).at(-1)?.stop_reason, "CANCELLED");
  assert.equal(events.at(-1)?.data, "[DONE]");
  assert.equal((await worker.json("DELETE /v1/inference/c")).status, 204);
  assert.equal((await worker.json("GET /v1/health")).json.state, "idle");
});

Deno.test("a request can be cancelled while its prompt is computed", async () => {
  await using worker = await startWorker({ prefillMs: 60_000 });
  const reading = worker.events(infer, { prompt: "hi", request_id: "p" });
  await worker.reaches("busy");
  await worker.json("DELETE /v1/inference/p");
  assert.equal(values(await reading).at(-1)?.stop_reason, "CANCELLED");
});

Deno.test("a client that leaves mid-stream ends its generation and frees the slot within a second", async () => {
  await using worker = await startWorker({ endless: true, tokenMs: 5 });
  const client = new AbortController();
  const response = await worker.request(infer, {
    body: { prompt: "hi", max_tokens: 100_000 },
    signal: client.signal,
  });
  await response.body!.getReader().read();
  client.abort();
  const leftMs = performance.now();
  await worker.reaches("idle");
  assert(performance.now() - leftMs < 1_000);
  assert.equal(worker.engine.running, 0);
  assert(worker.lines.some((l) => l.message === "request ended" && l.fields.ended_by === "client-left"));
});

Deno.test("a client that leaves during the prompt, or waits for the whole answer, frees its slot as well", async () => {
  await using worker = await startWorker({ prefillMs: 60_000 });
  for (const stream of [true, false]) {
    const client = new AbortController();
    const asking = worker.request(infer, { body: { prompt: "hi", stream }, signal: client.signal });
    await worker.reaches("busy");
    client.abort();
    await asking.then((r) => r.body?.cancel()).catch(() => {});
    await worker.reaches("idle");
  }
});

Deno.test("a client that reads nothing is waited for, then let go, and the engine does not run ahead", async () => {
  const piece = "x".repeat(16 * 1024);
  await using worker = await startWorker({ pieces: [piece], endless: true, worker: { slowClientMs: 300 } });
  const { hostname, port } = new URL(worker.url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const body = JSON.stringify({ prompt: "hi", max_tokens: 100_000, request_id: "slow" });
  const head = `POST /v1/inference HTTP/1.1\r\nhost: ${hostname}:${port}\r\nauthorization: Bearer ${key}\r\n`;
  await connection.write(new TextEncoder().encode(`${head}content-length: ${body.length}\r\n\r\n${body}`));
  await worker.reaches("busy");
  await worker.reaches("idle");
  assert.equal(worker.engine.running, 0);
  const ended = worker.lines.find((l) => l.message === "request ended")!;
  const mebibytes = Number(ended.fields.total_tokens) * piece.length / 2 ** 20;
  assert(mebibytes < 32, `${mebibytes} MiB were produced for nobody`);
});

Deno.test("DELETE frees the slot of a client that reads nothing, without waiting for it", async () => {
  await using worker = await startWorker({ pieces: ["x".repeat(64 * 1024)], endless: true });
  const response = await worker.request(infer, { body: { prompt: "hi", max_tokens: 100_000, request_id: "slow" } });
  await worker.reaches("busy");
  await pause(300);
  await worker.json("DELETE /v1/inference/slow");
  await worker.reaches("idle");
  await response.body?.cancel();
});

Deno.test("an engine that fails mid-text gives one error event and the end mark, and the worker lives on", async () => {
  await using worker = await startWorker({ generateError: new Error("secret detail") });
  const events = await worker.events(infer, { prompt: "hi", request_id: "e" });
  assert.deepEqual(events.map((e) => e.event), Array(6).fill(undefined));
  const error = (values(events).at(-1)?.error ?? {}) as Record<string, unknown>;
  assert.equal(error.code, "INFERENCE_FAILED");
  assert.equal(JSON.stringify(error).includes("secret detail"), false);
  assert.equal(events.at(-1)?.data, "[DONE]");
  worker.engine.script.generateError = new RbeeError("VRAM_OOM");
  const plain = await worker.json(infer, { prompt: "hi", stream: false });
  assert.deepEqual([plain.status, (plain.json.error as Record<string, unknown>).code], [500, "VRAM_OOM"]);
  worker.engine.script.generateError = undefined;
  assert.equal((await worker.json(infer, { prompt: "hi", stream: false })).json.text, "Once upon a time");
});

Deno.test("an id that runs already is refused, and the running request goes on", async () => {
  await using worker = await startWorker({ endless: true, tokenMs: 2, flags: { slots: 2 } });
  const first = worker.events(infer, { prompt: "hi", request_id: "same", max_tokens: 40 });
  await worker.reaches("busy");
  const second = await worker.json(infer, { prompt: "hi", request_id: "same" });
  assert.equal(second.status, 400);
  assert.match(JSON.stringify(second.json), /request_id/);
  assert.equal(values(await first).at(-1)?.total_tokens, 40);
});

Deno.test("messages reach the engine as messages, a prompt with its raw flag", async () => {
  await using worker = await startWorker({ refusesMessages: true });
  const refused = await worker.json(infer, { messages: [{ role: "user", content: "hi" }] });
  assert.equal(refused.status, 400);
  assert.equal((await worker.json("GET /v1/health")).json.state, "idle");
  assert.equal((await worker.json(infer, { prompt: "hi", raw: true, stream: false })).status, 200);
});

Deno.test("every bad field is named at once, and neither prompt nor stop is echoed", async () => {
  await using worker = await startWorker();
  const { status, json } = await worker.json(infer, {
    prompt: "my secret prompt",
    stop: ["s1", "s2", "s3", "s4", "my secret stop"],
    temperature: 3,
    top_p: -1,
    max_tokens: 0,
    surprise: true,
  });
  assert.equal(status, 400);
  const text = JSON.stringify(json);
  const { details } = json.error as { details: { errors: { field: string }[] } };
  const fields = details.errors.map((e) => e.field).sort();
  assert.deepEqual(fields, ["max_tokens", "stop", "surprise", "temperature", "top_p"]);
  assert.equal(text.includes("secret"), false);
});

Deno.test("the log says when a request began and ended, with counts and never with text", async () => {
  await using worker = await startWorker();
  await worker.json(infer, { prompt: "my secret prompt", stream: false, request_id: "l" });
  const began = worker.lines.find((l) => l.message === "request began")!;
  const ended = worker.lines.find((l) => l.message === "request ended")!;
  assert.deepEqual([began.fields.request_id, began.fields.slot, began.fields.prompt_tokens], ["l", 0, 16]);
  assert.deepEqual([ended.fields.request_id, ended.fields.total_tokens, ended.fields.stop_reason], ["l", 4, "EOS"]);
  assert.match(String(ended.fields.correlation_id), /^[0-9a-f-]{36}$/);
  const all = JSON.stringify(worker.lines);
  for (const secret of ["my secret prompt", "Once", key]) assert.equal(all.includes(secret), false, secret);
});

Deno.test("a client that is gone before the first event leaves no slot taken and no request running", async () => {
  const lifecycle = new Lifecycle({ workerId: "w", slotsTotal: 1 });
  const model = await new ScriptedEngine().load({
    modelPath: "m",
    backend: "cpu",
    device: 0,
    slots: 1,
    signal: new AbortController().signal,
    onProgress() {},
  });
  lifecycle.loaded(model.facts);
  const requests = new Requests();
  const log = openLog({ program: "test", level: "error", stderr: false });
  const slots = new Slots(lifecycle);
  const parts = { lifecycle, slots, requests, measures: new Measures(), log, model: () => model };
  const admitted = admit(inferenceRequest.parse({ prompt: "hi" }), "r", parts);
  assert.equal(lifecycle.state, "busy");
  const out = { signal: new AbortController().signal, write: () => Promise.reject(new Error("gone")) };
  await writeGeneration(admitted, { out, dialect: rbeeDialect, correlationId: "c", started: "x" });
  assert.deepEqual([lifecycle.state, requests.count], ["idle", 0]);
});
