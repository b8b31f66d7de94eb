import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import { workerRecord, type WorkerStatus } from "../protocol/worker.ts";
import { Worker } from "./worker.ts";

const facts = {
  id: "worker-abc123",
  url: "http://127.0.0.1:8081",
  port: 8081,
  modelRef: "builtin:tiny",
  backend: "cpu" as const,
  device: 0,
  slots: 1,
  idleMs: 300_000,
};
const ready = {
  worker_id: facts.id,
  url: facts.url,
  model_ref: facts.modelRef,
  backend: facts.backend,
  device: 0,
};
const status = (over: Partial<WorkerStatus> = {}): WorkerStatus => ({
  worker_id: facts.id,
  state: "idle",
  slots_total: 1,
  slots_available: 1,
  last_request_unix: 0,
  ...over,
});
const codeOf = (code: string) => (error: unknown) => (error as RbeeError).code === code;

function listening(over: Partial<typeof facts> = {}): Worker {
  const worker = new Worker({ ...facts, ...over }, 1_000);
  worker.acceptReady(ready, 0);
  return worker;
}

Deno.test("after the callback a worker is loading with no slot to be had", () => {
  const record = workerRecord.parse(listening().record());
  assert.deepEqual(
    [record.id, record.url, record.model_ref, record.backend, record.device, record.state],
    ["worker-abc123", "http://127.0.0.1:8081", "builtin:tiny", "cpu", 0, "loading"],
  );
  assert.deepEqual([record.slots_total, record.slots_available], [1, 0]);
});

Deno.test("the same callback twice is taken, another one is refused", () => {
  const worker = listening();
  assert.equal(worker.acceptReady({ ...ready, url: `${ready.url}/` }, 5), false);
  assert.throws(() => worker.acceptReady({ ...ready, device: 1 }, 5), codeOf("WORKER_ALREADY_REGISTERED"));
});

Deno.test("a callback that names another address than the worker was given is refused", () => {
  const worker = new Worker(facts, 1_000);
  assert.throws(() => worker.acceptReady({ ...ready, url: "http://evil.example:8081" }, 0), codeOf("INVALID_REQUEST"));
  assert.equal(worker.isListening, false);
});

Deno.test("the idle time counts from the last request and not from a health check", () => {
  const worker = listening();
  worker.takeStatus(status({ last_request_unix: 10 }), { now: 1_000, nowUnix: 10 });
  worker.checked(true, 250);
  assert.equal(worker.record().last_activity_unix, 250);
  worker.takeStatus(status({ last_request_unix: 10 }), { now: 200_000, nowUnix: 210 });
  assert.equal(worker.isIdleTooLong(300_999), false);
  assert.equal(worker.isIdleTooLong(301_000), true);
});

Deno.test("a request between two status events counts, and so does a busy one", () => {
  const worker = listening();
  worker.takeStatus(status(), { now: 0, nowUnix: 0 });
  worker.takeStatus(status({ last_request_unix: 99 }), { now: 99_000, nowUnix: 99 });
  assert.equal(worker.isIdleTooLong(398_999), false);
  worker.takeStatus(status({ state: "busy", slots_available: 0 }), { now: 300_000, nowUnix: 300 });
  assert.equal(worker.isIdleTooLong(1e9), false);
});

Deno.test("a worker that is kept for ever never idles out", () => {
  const worker = listening({ idleMs: 0 });
  worker.takeStatus(status(), { now: 0, nowUnix: 0 });
  assert.equal(worker.isIdleTooLong(1e12), false);
});

Deno.test("a failed check shows as unhealthy, a good one brings back what it says of itself", () => {
  const worker = listening();
  worker.takeStatus(status(), { now: 0, nowUnix: 0 });
  worker.checked(false, 1_030);
  assert.deepEqual([worker.state, worker.record().failed_health_checks, worker.record().slots_available], [
    "unhealthy",
    1,
    0,
  ]);
  worker.checked(true, 1_060);
  assert.deepEqual([worker.state, worker.record().last_activity_unix, worker.record().slots_available], [
    "idle",
    1_060,
    1,
  ]);
});

Deno.test("loading is bounded from the callback on, and the layers are shown meanwhile", () => {
  const worker = listening();
  worker.takeStatus(status({ state: "loading", layers_loaded: 28, layers_total: 32, slots_available: 0 }), {
    now: 10,
    nowUnix: 0,
  });
  assert.equal(worker.record().layers_loaded, 28);
  assert.equal(worker.isLoadingTooLong(2_999, 3_000), false);
  assert.equal(worker.isLoadingTooLong(3_000, 3_000), true);
  worker.takeStatus(status(), { now: 20, nowUnix: 0 });
  assert.equal(worker.isLoadingTooLong(1e9, 3_000), false);
  assert.equal(worker.record().layers_loaded, undefined);
});

Deno.test("the first reason to end is the one that counts", () => {
  const worker = listening();
  assert.equal(worker.beginEnd({ reason: "idle" }), true);
  assert.equal(worker.beginEnd({ reason: "stopped" }), false);
  assert.deepEqual([worker.ending?.reason, worker.state], ["idle", "draining"]);
});

Deno.test("a callback that comes when the worker is being ended, or has ended, is refused", () => {
  const late = new Worker(facts, 1_000);
  late.beginEnd({ reason: "timeout" });
  assert.throws(() => late.acceptReady(ready, 5), codeOf("WORKER_NOT_FOUND"));
  const dead = new Worker(facts, 1_000);
  dead.processEnded();
  assert.throws(() => dead.acceptReady(ready, 5), codeOf("WORKER_NOT_FOUND"));
  assert.deepEqual([late.isListening, dead.isListening], [false, false]);
});

Deno.test("a worker whose process is gone offers no slot, whatever it last said, and no reason to end comes after", () => {
  const worker = listening();
  worker.takeStatus(status(), { now: 0, nowUnix: 0 });
  worker.processEnded();
  assert.deepEqual([worker.state, worker.record().slots_available], ["unhealthy", 0]);
  worker.takeStatus(status({ slots_available: 1, last_request_unix: 9 }), { now: 1, nowUnix: 1 });
  assert.deepEqual([worker.state, worker.record().slots_available], ["unhealthy", 0]);
  assert.deepEqual([worker.beginEnd({ reason: "idle" }), worker.ending], [false, undefined]);
  worker.takeStatus(status({ state: "draining" }), { now: 2, nowUnix: 2 });
  assert.equal(worker.state, "draining");
});
