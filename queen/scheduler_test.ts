import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { WorkerRecord } from "../protocol/worker.ts";
import type { Effect, StreamEnd, TaskWish } from "./scheduler_messages.ts";
import { SchedulerBench, workerRecord as record } from "./testdata/scheduler_bench.ts";

/** A scheduler with one machine, a clock that a test moves, and the effects so far. */
class Bench extends SchedulerBench {
  constructor() {
    super(["local"]);
  }

  /** A machine whose hive shows these workers. */
  status(...workers: WorkerRecord[]): Effect[] {
    const machine = {
      hostname: "here",
      platform: "linux-x64",
      cpu_cores: 2,
      memory_total_bytes: 1,
      memory_available_bytes: 1,
      gpus: [],
    };
    return this.tell({ type: "hiveStatus", node: "local", status: { version: "0.1.0", machine, workers } });
  }

  submit(id: string, more: Partial<TaskWish> = {}): Effect[] {
    const demand = { model: "builtin:tiny" };
    return this.tell({
      type: "taskSubmitted",
      wish: { id, kind: "infer", demand, waitMs: 7_000, timeoutMs: 60_000, ...more },
    });
  }

  streamEnded(task: string, end: StreamEnd, attempt = 1): Effect[] {
    return this.tell({ type: "streamEnded", task, attempt, end });
  }
}

const types = (effects: Effect[]) => effects.map((e) => e.type);
const ended = (effects: Effect[]) =>
  effects.flatMap((e) => e.type === "taskEnded" ? [[e.task, e.end, e.error?.code ?? ""]] : []);
const started = (effects: Effect[]) => effects.flatMap((e) => e.type === "startTask" ? [[e.task, e.worker.id]] : []);
const said = (effects: Effect[]) => effects.flatMap((e) => e.type === "narrate" ? [e.narration.human] : []);
const error = (code: ErrorCode) => new RbeeError(code);
const done: StreamEnd = { kind: "done", failed: false };

Deno.test("a cold task starts the hive, then a worker, waits while it loads, and starts when it is idle", () => {
  const b = new Bench();
  ok(types(b.submit("t1")).includes("ensureHive"));
  deepStrictEqual(types(b.tell({ type: "hiveConnected", node: "local" })), []);
  const spawned = b.status().find((e) => e.type === "spawnWorker");
  ok(spawned?.type === "spawnWorker" && spawned.demand.model === "builtin:tiny");
  const worker = { worker_id: "worker-a", url: "http://127.0.0.1:8081", state: "loading" as const };
  b.tell({ type: "spawnAnswered", spawn: spawned.spawn, worker });
  const loading = b.status(record({ state: "loading", layers_loaded: 12, layers_total: 32, vram_mb: 2048 }));
  const progress = { stage: "loading_to_vram", layers_loaded: 12, layers_total: 32, vram_mb: 2048 };
  deepStrictEqual(loading.flatMap((e) => e.type === "progress" ? [e.progress] : []), [progress]);
  const ready = b.status(record());
  deepStrictEqual(types(ready).filter((t) => t === "progress" || t === "startTask"), ["progress", "startTask"]);
  deepStrictEqual(ended(b.streamEnded("t1", done)), [["t1", "done", ""]]);
  deepStrictEqual(b.scheduler.counts(), { waiting: 0, running: 0, slotsHeld: 0, spawns: 0, timers: 0 });
});

Deno.test("a hive that comes back with a fitting worker is not asked for another one", () => {
  const b = new Bench();
  b.status(record());
  b.submit("t1");
  b.tell({ type: "hiveLost", node: "local", error: error("CONNECTION_LOST") });
  b.streamEnded("t1", { kind: "broken", error: error("CONNECTION_LOST"), begun: true });
  deepStrictEqual(said(b.submit("t2")), ["🐝 Starting the hive on local"]);
  b.tell({ type: "hiveConnected", node: "local" });
  const back = b.status(record());
  deepStrictEqual(started(back), [["t2", "worker-a"]]);
  ok(!types(back).includes("spawnWorker"));
});

Deno.test("two tasks never take the same last slot: the second waits, and starts the moment the first ends", () => {
  const b = new Bench();
  b.status(record());
  deepStrictEqual(started(b.submit("t1")), [["t1", "worker-a"]]);
  deepStrictEqual(started(b.submit("t2")), []);
  b.status(record()); // a late picture that still shows the slot as free
  deepStrictEqual(started(b.effects), [["t1", "worker-a"]]);
  deepStrictEqual(started(b.streamEnded("t1", done)), [["t2", "worker-a"]]);
});

Deno.test("slots are given in the order of submission, and a task that was refused keeps its place", () => {
  const b = new Bench();
  b.status(record());
  b.submit("t1");
  b.submit("t2");
  b.submit("t3");
  b.streamEnded("t1", { kind: "refused", error: error("ALL_SLOTS_BUSY") });
  deepStrictEqual(b.scheduler.counts().waiting, 3);
  deepStrictEqual(started(b.fire("refusal:worker-a")), [["t1", "worker-a"]]);
  deepStrictEqual(started(b.streamEnded("t1", done, 2)), [["t2", "worker-a"]]);
});

Deno.test("a task that waits for a busy worker says so after 1, 2 and 4 s, and gives up with both numbers (S35, S41)", () => {
  const b = new Bench();
  b.status(record());
  b.submit("t1");
  const lines = [said(b.submit("t2")), said(b.fire("say:t2")), said(b.fire("say:t2"))].flat();
  deepStrictEqual(lines, [
    "⏳ Worker is busy, retrying in 1 second…",
    "⏳ Worker is busy, retrying in 2 seconds…",
    "⏳ Worker is busy, retrying in 4 seconds…",
  ]);
  b.now = 1_000;
  const last = b.fire("wait:t2").find((e) => e.type === "taskEnded");
  ok(last?.type === "taskEnded");
  strictEqual(last.error?.message, "Cannot start: still busy after 3 retries");
  strictEqual(last.error.details.slots_total, 1);
  strictEqual(last.error.details.slots_busy, 1);
  ok(!types(b.effects).includes("spawnWorker"), "S11: no second worker");
});

Deno.test("waiting for a model to load is bounded by its own time-out, not by the wait for a slot (S33, S42)", () => {
  const b = new Bench();
  b.status(record({ state: "loading", layers_loaded: 28, layers_total: 32 }));
  b.submit("t1", { waitMs: 0 });
  deepStrictEqual(ended(b.effects), []);
  const effects = b.fire("load:worker-a");
  const last = effects.find((e) => e.type === "taskEnded");
  ok(last?.type === "taskEnded");
  strictEqual(last.error?.code, "LOADING_TIMEOUT");
  strictEqual(last.error.message, "Cannot use the model: model loading timeout after 5 minutes");
  strictEqual(last.error.details.state, "loading");
  strictEqual(last.error.details.layers, "28/32");
  ok(types(effects).includes("stopWorker"));
  b.submit("t2");
  ok(types(b.effects).includes("spawnWorker"), "the next task does not wait for the stuck worker");
});

Deno.test("a worker that dies before its first token is replaced once; the second death ends the task", () => {
  const b = new Bench();
  b.status(record(), record({ id: "worker-b" }), record({ id: "worker-c" }));
  b.submit("t1");
  const died: StreamEnd = { kind: "broken", error: error("WORKER_CRASHED"), begun: false };
  deepStrictEqual(started(b.streamEnded("t1", died)), [["t1", "worker-b"]]);
  deepStrictEqual(ended(b.streamEnded("t1", died, 2)), [["t1", "failed", "WORKER_FAILED"]]);
});

Deno.test("a worker that dies after its first token ends the task with its error", () => {
  const b = new Bench();
  b.status(record());
  b.submit("t1");
  const died: StreamEnd = { kind: "broken", error: error("WORKER_CRASHED"), begun: true };
  deepStrictEqual(ended(b.streamEnded("t1", died)), [["t1", "failed", "WORKER_CRASHED"]]);
});

Deno.test("a load that fails ends every task that waits for it with the hive's own error, and starts no other worker", () => {
  const b = new Bench();
  b.status(record({ state: "loading" }));
  b.submit("t1");
  b.submit("t2");
  b.status(record({ state: "unhealthy" })); // how a worker whose load failed shows until it has ended
  const cause = { code: "MODEL_LOAD_FAILED", message: "the file is cut", details: {} };
  b.tell({ type: "workerGone", node: "local", gone: { worker_id: "worker-a", reason: "load-failed", error: cause } });
  deepStrictEqual(ended(b.effects), [["t1", "failed", "MODEL_LOAD_FAILED"], ["t2", "failed", "MODEL_LOAD_FAILED"]]);
  ok(!types(b.effects).includes("spawnWorker"));
});

Deno.test("a spawn that the hive refuses fails its task with that error as it is", () => {
  const b = new Bench();
  b.status();
  b.submit("t1");
  const refusal = new RbeeError("VRAM_EXHAUSTED", { details: { required: 6000, available: 4000 } });
  const effects = b.tell({ type: "spawnFailed", spawn: "spawn-1", error: refusal });
  const last = effects.find((e) => e.type === "taskEnded");
  strictEqual(last?.type === "taskEnded" && last.error, refusal);
});

Deno.test("a hive that dies is started again at once for whoever waits, and later with growing pauses", () => {
  const b = new Bench();
  b.status(record({ state: "loading" }));
  b.submit("t1");
  const lost = b.tell({ type: "hiveLost", node: "local", error: error("CONNECTION_LOST") });
  ok(types(lost).includes("ensureHive"));
  deepStrictEqual(ended(lost), []);
  const failed = b.tell({ type: "hiveFailed", node: "local", error: error("HIVE_START_FAILED") });
  deepStrictEqual(ended(failed), [["t1", "failed", "HIVE_START_FAILED"]]);
  const pause = failed.find((e) => e.type === "setTimer" && e.timer === "hive:local");
  strictEqual(pause?.type === "setTimer" && pause.ms, limits.hiveReconnectMs[1]);
  ok(types(b.fire("hive:local")).includes("ensureHive"));
});

Deno.test("a running task outlives its hive for a while, and is cut with CONNECTION_LOST when nothing ends it", () => {
  const b = new Bench();
  b.status(record());
  b.submit("t1");
  b.tell({ type: "hiveLost", node: "local", error: error("CONNECTION_LOST") });
  deepStrictEqual(ended(b.effects), []);
  const cut = b.fire("lost:t1").find((e) => e.type === "stopTask");
  ok(cut?.type === "stopTask" && cut.how === "broken" && cut.error?.code === "CONNECTION_LOST");
});

Deno.test("a cancelled task is gone from the queue at once; a running one frees its slot when its stream has ended", () => {
  const b = new Bench();
  b.status(record());
  b.submit("t1");
  b.submit("t2");
  deepStrictEqual(ended(b.tell({ type: "taskCancelled", task: "t2", gently: false })), [
    ["t2", "cancelled", "REQUEST_CANCELED"],
  ]);
  b.submit("t3");
  const cancel = b.tell({ type: "taskCancelled", task: "t1", gently: false });
  deepStrictEqual(types(cancel).filter((t) => t !== "clearTimer"), ["stopTask", "taskEnded"]);
  deepStrictEqual(started(b.effects), [["t1", "worker-a"]]);
  deepStrictEqual(started(b.streamEnded("t1", { kind: "stopped" })), [["t3", "worker-a"]]);
});

Deno.test("a task that is cancelled while somebody reads it ends with the worker's own terminal event", () => {
  const b = new Bench();
  b.status(record());
  b.submit("t1");
  const cancel = b.tell({ type: "taskCancelled", task: "t1", gently: true });
  ok(cancel.some((e) => e.type === "stopTask" && e.how === "gently"));
  deepStrictEqual(ended(cancel), []);
  deepStrictEqual(ended(b.streamEnded("t1", done)), [["t1", "cancelled", ""]]);
});

Deno.test("the deadline ends a task wherever it is", () => {
  const b = new Bench();
  b.status(record());
  b.submit("t1", { timeoutMs: 5_000 });
  const effects = b.fire("deadline:t1");
  deepStrictEqual(ended(effects), [["t1", "failed", "REQUEST_TIMEOUT"]]);
  ok(effects.some((e) => e.type === "stopTask" && e.how === "now"));
});

Deno.test("the queue is bounded, and of each model as well", () => {
  const b = new Bench();
  for (let n = 0; n < limits.queueTasksPerModelMax; n++) b.submit(`t${n}`);
  deepStrictEqual(ended(b.effects), []);
  deepStrictEqual(ended(b.submit("one-more")), [["one-more", "failed", "QUEUE_FULL"]]);
  const other = { demand: { model: "file:/m.gguf" } };
  for (let n = limits.queueTasksPerModelMax; n < limits.queueTasksMax; n++) b.submit(`t${n}`, other);
  deepStrictEqual(ended(b.submit("another", { demand: { model: "file:/n.gguf" } })), [
    ["another", "failed", "QUEUE_FULL"],
  ]);
});

Deno.test("a load task ends with the worker that has loaded, and takes no slot", () => {
  const b = new Bench();
  b.status(record({ state: "loading" }));
  b.submit("l1", { kind: "load" });
  const last = b.status(record()).find((e) => e.type === "taskEnded");
  deepStrictEqual(last?.type === "taskEnded" && [last.end, last.worker], ["done", "worker-a"]);
  strictEqual(b.scheduler.counts().slotsHeld, 0);
});

Deno.test("a draining queen ends who waits, lets finish who runs, and takes nothing new", () => {
  const b = new Bench();
  b.status(record());
  b.submit("t1");
  b.submit("t2");
  deepStrictEqual(ended(b.tell({ type: "draining", error: error("SHUTTING_DOWN") })), [
    ["t2", "failed", "SHUTTING_DOWN"],
  ]);
  deepStrictEqual(ended(b.submit("t3")), [["t3", "failed", "SHUTTING_DOWN"]]);
  deepStrictEqual(ended(b.streamEnded("t1", done)), [["t1", "done", ""]]);
});

Deno.test("workers that turn out not to serve their task are not started for ever", () => {
  const b = new Bench();
  b.status();
  b.submit("t1", { demand: { model: "builtin:tiny", keepS: 60 } });
  for (let n = 1; n < 10 && ended(b.effects).length === 0; n++) {
    const worker = { worker_id: `worker-${n}`, url: "http://127.0.0.1:1", state: "loading" as const };
    b.tell({ type: "spawnAnswered", spawn: `spawn-${n}`, worker });
    b.status(record({ id: `worker-${n}`, keep_s: 5 }));
  }
  deepStrictEqual(ended(b.effects), [["t1", "failed", "WORKER_FAILED"]]);
  strictEqual(types(b.effects).filter((t) => t === "spawnWorker").length, 3);
});

Deno.test("late and repeated reports change nothing", () => {
  const b = new Bench();
  b.status(record());
  b.submit("t1");
  b.streamEnded("t1", done);
  const before = b.effects.length;
  b.streamEnded("t1", done);
  b.tell({ type: "taskCancelled", task: "t1", gently: true });
  b.tell({ type: "timerFired", timer: "deadline:t1" });
  b.tell({ type: "spawnFailed", spawn: "spawn-9", error: error("VRAM_EXHAUSTED") });
  b.tell({ type: "hiveConnected", node: "local" });
  strictEqual(b.effects.length, before);
});

Deno.test("a hive that was stopped on purpose is not started again for those who waited for it; the next task may", () => {
  const bench = new Bench();
  bench.submit("a");
  bench.tell({ type: "hiveConnected", node: "local" });
  const effects = bench.tell({ type: "hiveReleased", node: "local", error: error("NODE_UNREACHABLE") });
  deepStrictEqual(ended(effects), [["a", "failed", "NODE_UNREACHABLE"]]);
  strictEqual(types(effects).includes("ensureHive"), false);
  strictEqual(bench.scheduler.counts().timers, 0);
  ok(types(bench.submit("b")).includes("ensureHive"));
});
