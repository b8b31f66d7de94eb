import assert from "node:assert/strict";
import { makeCertificate } from "../hive/certificate.ts";
import { RbeeError } from "../protocol/error.ts";
import { workerReady, workerStatus } from "../protocol/worker.ts";
import type { TlsFiles } from "../runtime/serve.ts";
import { key, RunningWorker, startWorker } from "./testdata/running_worker.ts";

const infer = "POST /v1/inference";
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A hive that takes one kind of call, and what it was sent. */
class Hive implements AsyncDisposable {
  readonly calls: { path: string; authorization: string | null; body: unknown }[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  readonly #tls?: TlsFiles;

  constructor({ status = 200, tls }: { status?: number; tls?: TlsFiles } = {}) {
    this.#tls = tls;
    this.#server = Deno.serve({ ...tls, port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
      const { pathname } = new URL(request.url);
      this.calls.push({
        path: `${request.method} ${pathname}`,
        authorization: request.headers.get("authorization"),
        body: await request.json(),
      });
      const error = { error: { code: "WORKER_NOT_FOUND", message: "no", details: {}, retryable: false, hint: "" } };
      return Response.json(status === 200 ? { message: "ok" } : error, { status });
    });
  }

  get url(): string {
    return `${this.#tls ? "https" : "http"}://127.0.0.1:${this.#server.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

Deno.test("S27, S28: it listens, calls the hive back with its key, and loads after that", async () => {
  await using hive = new Hive();
  await using worker = new RunningWorker({ layerMs: 20, flags: { callbackUrl: hive.url, backend: "cuda", device: 1 } });
  const { json } = await worker.json("GET /v1/ready");
  assert.equal(json.state, "loading");
  await worker.reaches("idle");
  const [told] = hive.calls;
  assert.equal(told.path, "POST /v1/workers/ready");
  assert.equal(told.authorization, `Bearer ${key}`);
  assert.deepEqual(workerReady.parse(told.body), {
    worker_id: "worker-test",
    url: worker.url,
    model_ref: "builtin:tiny",
    backend: "cuda",
    device: 1,
    slots_total: 1,
  });
  assert.equal(hive.calls.length, 1);
});

Deno.test("with TLS it tells its own hive alone: one with another certificate does not get the key", async () => {
  const certificate = () => makeCertificate({ hosts: ["127.0.0.1"], now: new Date() });
  const [tls, other] = [certificate(), certificate()];
  await using hive = new Hive({ tls });
  await using stranger = new Hive({ tls: other });
  await using worker = new RunningWorker({ flags: { callbackUrl: hive.url }, worker: { tls } });
  for (let n = 0; hive.calls.length === 0 && n < 500; n++) await pause(10);
  assert.equal(workerReady.parse(hive.calls[0].body).url, worker.url);
  assert.match(worker.url, /^https:/);
  assert.equal(hive.calls[0].authorization, `Bearer ${key}`);
  await using lost = new RunningWorker({ flags: { callbackUrl: stranger.url }, worker: { tls } });
  const ended = await lost.ended;
  assert(ended instanceof RbeeError && ended.code === "TLS_NOT_TRUSTED", String(ended));
  assert.deepEqual(stranger.calls, []);
});

Deno.test("a hive that refuses the callback ends the worker with its error, before anything is loaded", async () => {
  await using hive = new Hive({ status: 404 });
  await using worker = new RunningWorker({ flags: { callbackUrl: hive.url } });
  const ended = await worker.ended;
  assert(ended instanceof RbeeError && ended.code === "WORKER_NOT_FOUND");
  assert.equal(worker.engine.loads.length, 0);
});

Deno.test("the flags reach the engine", async () => {
  await using worker = await startWorker({ flags: { slots: 3, ctx: 128, threads: 2, model: "m.gguf", device: 1 } });
  const [{ modelPath, slots, ctxTokensMax, threads, device }] = worker.engine.loads;
  assert.deepEqual({ modelPath, slots, ctxTokensMax, threads, device }, {
    modelPath: "m.gguf",
    slots: 3,
    ctxTokensMax: 128,
    threads: 2,
    device: 1,
  });
});

Deno.test("a request while the model loads is 503 WORKER_NOT_READY with how far it is", async () => {
  await using worker = await startWorker({ layerMs: 200, listeningOnly: true });
  const { status, json } = await worker.json(infer, { prompt: "hi" });
  assert.deepEqual([status, (json.error as Record<string, unknown>).code], [503, "WORKER_NOT_READY"]);
});

Deno.test("a model that cannot be loaded is said on both streams, and the exit code is 1", async () => {
  const loadError = new RbeeError("MODEL_LOAD_FAILED", {
    message: "Cannot load the model: damaged",
    details: { at: 5 },
  });
  await using worker = await startWorker({ layerMs: 30, loadError, listeningOnly: true });
  const [events, progress] = await Promise.all([
    worker.events("GET /v1/events"),
    worker.events("GET /v1/loading/progress"),
  ]);
  const status = workerStatus.parse(JSON.parse(events.at(-1)!.data));
  assert.deepEqual(status.error, {
    code: "MODEL_LOAD_FAILED",
    message: "Cannot load the model: damaged",
    details: { at: 5 },
  });
  assert.deepEqual(progress.slice(-2).map((e) => e.data), [
    JSON.stringify({ stage: "error", message: "Cannot load the model: damaged" }),
    "[DONE]",
  ]);
  assert.equal(await worker.ended, 1);
  assert(worker.lines.some((l) => l.message === "loading failed" && l.fields.code === "MODEL_LOAD_FAILED"));
});

Deno.test("who comes after a failed load, but before the end, still reads why", async () => {
  const worker = { failedLingerMs: 2_000 };
  await using failed = await startWorker({ loadError: new RbeeError("VRAM_EXHAUSTED"), listeningOnly: true, worker });
  await failed.reaches("unhealthy");
  const [first] = await Array.fromAsync({
    async *[Symbol.asyncIterator]() {
      for await (const event of failed.follow(await failed.request("GET /v1/events"))) return yield event;
    },
  });
  assert.equal(JSON.parse(first.data).error.code, "VRAM_EXHAUSTED");
  assert.equal((await failed.json(infer, { prompt: "hi" })).status, 503);
  assert.equal((await failed.json("GET /v1/health")).json.status, "unhealthy");
});

Deno.test("S45: shutdown is acknowledged with 202, ends the worker with code 0 and frees the model", async () => {
  await using worker = await startWorker();
  const { status, json } = await worker.json("POST /v1/admin/shutdown", {});
  assert.deepEqual([status, json], [202, { status: "shutting_down" }]);
  assert.equal(await worker.ended, 0);
  assert.equal(worker.engine.disposed, true);
});

Deno.test("shutdown while loading ends the load, the progress stream and the worker", async () => {
  await using worker = await startWorker({ layerMs: 60_000, listeningOnly: true });
  const progress = worker.events("GET /v1/loading/progress");
  await pause(20);
  await worker.json("POST /v1/admin/shutdown", {});
  assert.deepEqual((await progress).slice(-2).map((e) => e.data.includes("error") || e.data), [true, "[DONE]"]);
  assert.equal(await worker.ended, 0);
});

Deno.test("draining lets a running request end and refuses new ones", async () => {
  await using worker = await startWorker({ endless: true, tokenMs: 10 });
  const reading = worker.events(infer, { prompt: "hi", max_tokens: 30, request_id: "d" });
  await worker.reaches("busy");
  await worker.json("POST /v1/admin/shutdown", {});
  const refused = await worker.json(infer, { prompt: "hi" });
  assert.deepEqual([refused.status, (refused.json.error as Record<string, unknown>).code], [503, "SHUTTING_DOWN"]);
  const ready = await worker.json("GET /v1/ready");
  assert.deepEqual([ready.json.ready, ready.json.state], [false, "draining"]);
  const events = await reading;
  assert.equal(JSON.parse(events.at(-2)!.data).total_tokens, 30);
  assert.equal(await worker.ended, 0);
});

Deno.test("a request that does not end while draining gets the error SHUTTING_DOWN and the end mark", async () => {
  await using worker = await startWorker({ endless: true, tokenMs: 10, worker: { drainMs: 100 } });
  const reading = worker.events(infer, { prompt: "hi", max_tokens: 100_000, request_id: "d" });
  await worker.reaches("busy");
  await worker.json("POST /v1/admin/shutdown", {});
  const events = await reading;
  assert.equal(JSON.parse(events.at(-2)!.data).error.code, "SHUTTING_DOWN");
  assert.equal(events.at(-1)!.data, "[DONE]");
  assert.equal(await worker.ended, 0);
});

Deno.test("SIGTERM while draining cuts the wait short", async () => {
  await using worker = await startWorker({ endless: true, tokenMs: 10, worker: { drainMs: 60_000 } });
  const reading = worker.events(infer, { prompt: "hi", max_tokens: 100_000, request_id: "d" });
  await worker.reaches("busy");
  await worker.json("POST /v1/admin/shutdown", {});
  worker.terminate();
  assert.equal(JSON.parse((await reading).at(-2)!.data).error.code, "SHUTTING_DOWN");
  assert.equal(await worker.ended, 0);
});

Deno.test("SIGTERM alone drains as well", async () => {
  await using worker = await startWorker({ endless: true, tokenMs: 5 });
  const reading = worker.events(infer, { prompt: "hi", max_tokens: 40, request_id: "d" });
  await worker.reaches("busy");
  worker.terminate();
  assert.equal(JSON.parse((await reading).at(-2)!.data).total_tokens, 40);
  assert.equal(await worker.ended, 0);
});

Deno.test("a taken port is an error that names port and flag", async () => {
  await using first = await startWorker();
  await using second = new RunningWorker({ flags: { port: Number(new URL(first.url).port) } });
  const ended = await second.ended;
  assert(ended instanceof RbeeError && ended.code === "PORT_TAKEN");
  assert.match(ended.message + ended.hint, /--port/);
});

Deno.test("the log says startup, port, and how long loading took", async () => {
  await using worker = await startWorker();
  const said = worker.lines.map((l) => l.message);
  assert.deepEqual(said.slice(0, 4), ["starting", "listening", "loading began", "loading ended"]);
  assert.equal(typeof worker.lines[3].fields.seconds, "number");
  assert.equal(worker.lines[1].fields.port, Number(new URL(worker.url).port));
});
