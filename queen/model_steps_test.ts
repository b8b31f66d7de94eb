import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { ModelFacts } from "../protocol/model.ts";
import type { WorkerRecord } from "../protocol/worker.ts";
import type { Effect, TaskWish } from "./scheduler_messages.ts";
import { SchedulerBench, workerRecord as record } from "./testdata/scheduler_bench.ts";

const mb = 1024 * 1024;
const model = "hf:org/repo:Q4_K_M";
const facts = (more: Partial<ModelFacts> = {}): ModelFacts => ({
  ...{ ref: model, size_bytes: 1_000 * mb, digest: "sha256:1", quantization: "Q4_K_M", shape: null },
  ...more,
});

/** A scheduler with machines of some memory, and what they show. */
class Bench extends SchedulerBench {
  readonly #nodes: readonly string[];

  constructor(...nodes: string[]) {
    super(nodes);
    this.#nodes = nodes;
  }

  /** A machine with 8,000 MB, so much of it free, whose hive shows these workers and models. */
  status(
    node: string,
    more: { freeMb?: number; diskMb?: number; workers?: WorkerRecord[]; models?: ModelFacts[] } = {},
  ) {
    const { freeMb = 8_000, diskMb = 100_000, workers = [], models = [] } = more;
    const machine = {
      ...{ hostname: node, platform: "linux-x64", cpu_cores: 2, gpus: [] },
      ...{ memory_total_bytes: 8_000 * mb, memory_available_bytes: freeMb * mb, disk_free_bytes: diskMb * mb },
    };
    return this.tell({ type: "hiveStatus", node, status: { version: "0.1.0", machine, workers, models } });
  }

  allUp(): this {
    for (const node of this.#nodes) this.status(node);
    return this;
  }

  submit(id: string, more: Partial<TaskWish> = {}): Effect[] {
    const wish = { id, kind: "infer" as const, demand: { model }, waitMs: 7_000, timeoutMs: 600_000, ...more };
    return this.tell({ type: "taskSubmitted", wish });
  }

  known(node = "local", more: Partial<ModelFacts> = {}): Effect[] {
    return this.tell({ type: "modelKnown", node, model, facts: facts(more), onDisk: false, downloadBytes: 1_000 * mb });
  }
}

const of = <T extends Effect["type"]>(effects: Effect[], type: T) =>
  effects.filter((e): e is Extract<Effect, { type: T }> => e.type === type);
const lookUps = (effects: Effect[]) => of(effects, "lookUpModel").map((e) => [e.node, e.model]);
const fetches = (effects: Effect[]) => of(effects, "fetchModel").map((e) => [e.fetch, e.node, e.from]);
const spawns = (effects: Effect[]) => of(effects, "spawnWorker").map((e) => e.node);
const ended = (effects: Effect[]) => of(effects, "taskEnded").map((e) => [e.task, e.end, e.error?.code ?? ""]);
const said = (effects: Effect[]) => of(effects, "narrate").map((e) => e.narration.human);
const error = (code: ErrorCode) => new RbeeError(code);

Deno.test("a model of a hub is looked up at a hive that is up, then fetched to where it fits, then a worker is started", () => {
  const b = new Bench("local");
  b.submit("t1");
  deepStrictEqual(lookUps(b.effects), []); // first the hive
  deepStrictEqual(lookUps(b.status("local")), [["local", model]]);
  deepStrictEqual(lookUps(b.submit("t2")), []); // one question for all
  deepStrictEqual(fetches(b.known()), [["fetch-1", "local", undefined]]);
  const progress = { stage: "downloading" as const, bytes_downloaded: 1, bytes_total: 2, speed_mbps: 3 };
  const told = of(b.tell({ type: "fetchProgress", fetch: "fetch-1", progress }), "progress");
  deepStrictEqual(told.map((e) => e.task), ["t1", "t2"]);
  const narration = { actor: "rbee-hive", action: "model-download-retry", target: model, human: "attempt 2/6" };
  const words = b.tell({ type: "fetchNarration", fetch: "fetch-1", narration });
  deepStrictEqual(of(words, "narrate").map((e) => [e.task, e.narration]), [["t1", narration], ["t2", narration]]);
  deepStrictEqual(spawns(b.tell({ type: "fetchDone", fetch: "fetch-1" })), ["local"]);
});

Deno.test("what lies on some disk needs no look-up, and is fetched from there", () => {
  const b = new Bench("local", "box");
  b.status("local");
  b.status("box", { models: [facts()], freeMb: 100 });
  const effects = b.submit("t1");
  deepStrictEqual(lookUps(effects), []);
  deepStrictEqual(fetches(effects), [["fetch-1", "local", "box"]]);
});

Deno.test("a look-up's error ends its tasks; one by a hive that is gone asks another", () => {
  const b = new Bench("local", "box").allUp();
  b.submit("t1");
  const effects = b.tell({ type: "modelUnknown", node: "local", model, error: error("CONNECTION_LOST") });
  deepStrictEqual([ended(effects), lookUps(effects)], [[], [["box", model]]]);
  const ambiguous = b.tell({ type: "modelUnknown", node: "box", model, error: error("MODEL_AMBIGUOUS") });
  deepStrictEqual(ended(ambiguous), [["t1", "failed", "MODEL_AMBIGUOUS"]]);
});

Deno.test("a hub that is away does not keep a model from being used that lies on a disk", () => {
  const b = new Bench("local");
  b.status("local", { models: [facts()] });
  b.submit("t1", { demand: { model: "hf:org/repo" } });
  const away = error("CONNECTION_TIMEOUT");
  const effects = b.tell({ type: "modelUnknown", node: "local", model: "hf:org/repo", error: away });
  const [spawn] = of(effects, "spawnWorker");
  strictEqual(spawn?.demand.model, model);
});

Deno.test("a look-up that nobody answers ends after its time", () => {
  const b = new Bench("local").allUp();
  b.submit("t1");
  deepStrictEqual(ended(b.fire(`lookup:${model}`)), [["t1", "failed", "CONNECTION_TIMEOUT"]]);
});

Deno.test("waiting for a slot does not run while a model comes; the task's own deadline does, and ends the fetch", () => {
  const b = new Bench("local").allUp();
  b.submit("t1", { waitMs: 0, timeoutMs: 100_000 });
  b.known();
  deepStrictEqual(ended(b.effects), []);
  const effects = b.fire("deadline:t1");
  deepStrictEqual(ended(effects), [["t1", "failed", "REQUEST_TIMEOUT"]]);
  deepStrictEqual(of(effects, "stopFetch").map((e) => e.fetch), ["fetch-1"]);
});

Deno.test("a fetch goes on while one of those who wait for it is left", () => {
  const b = new Bench("local").allUp();
  b.submit("t1");
  b.submit("t2");
  b.known();
  deepStrictEqual(of(b.tell({ type: "taskCancelled", task: "t1", gently: false }), "stopFetch"), []);
  strictEqual(of(b.tell({ type: "taskCancelled", task: "t2", gently: false }), "stopFetch").length, 1);
});

Deno.test("a full disk sends the task elsewhere when it named no machine, and ends it when it did", () => {
  const b = new Bench("local", "box").allUp();
  b.submit("t1");
  b.known();
  const effects = b.tell({ type: "fetchFailed", fetch: "fetch-1", error: error("INSUFFICIENT_DISK") });
  deepStrictEqual([ended(effects), fetches(effects)], [[], [["fetch-2", "box", undefined]]]);
  b.submit("t2", { demand: { model, node: "local" } });
  deepStrictEqual(ended(b.tell({ type: "fetchFailed", fetch: "fetch-3", error: error("INSUFFICIENT_DISK") })), [
    ["t2", "failed", "INSUFFICIENT_DISK"],
  ]);
});

Deno.test("a hive that goes while it fetches takes the fetch along; whoever named no machine goes elsewhere", () => {
  const b = new Bench("local", "box").allUp();
  b.submit("t1");
  b.known();
  const effects = b.tell({ type: "hiveLost", node: "local", error: error("CONNECTION_LOST") });
  deepStrictEqual([ended(effects), fetches(effects)], [[], [["fetch-2", "box", undefined]]]);
});

Deno.test("idle workers end to make room, the least recently used first and no more than needed; the spawn waits for them", () => {
  const b = new Bench("local");
  const idle = (id: string, memoryMb: number) =>
    record({ id, model_ref: `file:/${id}.gguf`, memory_bytes: memoryMb * mb });
  b.status("local", { freeMb: 500, workers: [idle("a", 3_000), idle("b", 3_000)], models: [facts()] });
  b.now += 10;
  b.submit("t0", { demand: { model: "file:/a.gguf" } }); // a is used now, so b is older
  b.tell({ type: "streamEnded", task: "t0", attempt: 1, end: { kind: "done", failed: false } });
  const effects = b.submit("t1");
  deepStrictEqual(of(effects, "stopWorker").map((e) => e.worker), ["b"]);
  deepStrictEqual(spawns(effects), []);
  ok(said(effects).includes("🧹 Making room on local: b is idle and ends"));
  deepStrictEqual(spawns(b.tell({ type: "workerGone", node: "local", gone: { worker_id: "b", reason: "stopped" } })), [
    "local",
  ]);
});

Deno.test("busy workers never end to make room: they are waited for, and then the refusal tells the numbers", () => {
  const b = new Bench("local");
  const busy = record({ model_ref: "file:/a.gguf", memory_bytes: 7_000 * mb });
  b.status("local", { freeMb: 500, workers: [busy], models: [facts()] });
  b.submit("t0", { demand: { model: "file:/a.gguf" } });
  const effects = b.submit("t1");
  deepStrictEqual([of(effects, "stopWorker"), ended(effects)], [[], []]);
  const last = of(b.fire("wait:t1"), "taskEnded")[0];
  strictEqual(last.error?.code, "VRAM_EXHAUSTED");
  strictEqual(last.error.details.available, 500);
});

Deno.test("a worker that waits for nobody's room goes on as soon as the busy one is done", () => {
  const b = new Bench("local");
  const busy = record({ model_ref: "file:/a.gguf", memory_bytes: 7_000 * mb });
  b.status("local", { freeMb: 500, workers: [busy], models: [facts()] });
  b.submit("t0", { demand: { model: "file:/a.gguf" } });
  b.submit("t1");
  const effects = b.tell({ type: "streamEnded", task: "t0", attempt: 1, end: { kind: "done", failed: false } });
  deepStrictEqual(of(effects, "stopWorker").map((e) => e.worker), ["worker-a"]);
});

Deno.test("a worker that does not make room ends the spawn after its time", () => {
  const b = new Bench("local");
  const idle = record({ model_ref: "file:/a.gguf", memory_bytes: 7_000 * mb });
  b.status("local", { freeMb: 500, workers: [idle], models: [facts()] });
  b.submit("t1");
  const [set] = of(b.effects, "setTimer").filter((e) => e.timer === "leave:worker-a");
  strictEqual(set.ms, limits.evictMs);
  deepStrictEqual(ended(b.fire("leave:worker-a")), [["t1", "failed", "INSUFFICIENT_RESOURCES"]]);
});

Deno.test("when every machine refuses, one error lists each with its reason", () => {
  const b = new Bench("local", "box");
  b.status("local", { freeMb: 100 });
  b.status("box", { diskMb: 200 });
  b.submit("t1");
  const last = of(b.known(), "taskEnded")[0];
  strictEqual(last.error?.code, "NO_NODE");
  deepStrictEqual((last.error.details.nodes as { node: string; code: string }[]).map((n) => [n.node, n.code]), [
    ["local", "VRAM_EXHAUSTED"],
    ["box", "INSUFFICIENT_DISK"],
  ]);
  ok(last.error.message.includes("box: its disk has 200 MB free, the model needs 1256 MB"), last.error.message);
});

Deno.test("a hive that had less memory than it had shown makes its idle workers end, and is asked again", () => {
  const b = new Bench("local");
  const idle = record({ model_ref: "file:/a.gguf", memory_bytes: 4_000 * mb });
  b.status("local", { freeMb: 3_000, workers: [idle], models: [facts()] });
  deepStrictEqual(spawns(b.submit("t1")), ["local"]);
  const details = { required: 1_200, available: 300, backend: "cpu", device: 0 };
  const refused = new RbeeError("VRAM_EXHAUSTED", { details });
  const effects = b.tell({ type: "spawnFailed", spawn: "spawn-1", error: refused });
  deepStrictEqual([ended(effects), of(effects, "stopWorker").map((e) => e.worker)], [[], ["worker-a"]]);
});

Deno.test("memory that a worker on its way will take is not given away a second time", () => {
  const b = new Bench("local");
  const other = facts({ ref: "hf:org/other:Q4_0", size_bytes: 5_000 * mb });
  b.status("local", { models: [facts({ size_bytes: 5_000 * mb }), other] });
  deepStrictEqual(spawns(b.submit("t1")), ["local"]);
  const effects = b.submit("t2", { demand: { model: other.ref } });
  deepStrictEqual([spawns(effects), ended(effects)], [[], []]);
});

Deno.test("what is asked without doing anything is looked up, too", () => {
  const b = new Bench("local").allUp();
  deepStrictEqual(lookUps(b.tell({ type: "modelWanted", model })), [["local", model]]);
  b.known();
  deepStrictEqual(lookUps(b.tell({ type: "modelWanted", model })), []);
});

Deno.test("memory of a worker that is gone counts once: before its machine's figures show it, not after", () => {
  const b = new Bench("local", "box");
  const worker = record({ model_ref: "file:/a.gguf", memory_bytes: 6_000 * mb });
  const large = facts({ size_bytes: 6_000 * mb });
  b.status("local", { freeMb: 100 });
  b.status("box", { freeMb: 2_000, workers: [worker], models: [large] });
  b.status("box", { freeMb: 7_000, models: [large] }); // it is gone, and this is all that is free
  deepStrictEqual(ended(b.submit("t1")), [["t1", "failed", "NO_NODE"]]);
  b.status("box", { freeMb: 2_000, workers: [worker], models: [large] });
  b.tell({ type: "workerGone", node: "box", gone: { worker_id: "worker-a", reason: "stopped" } });
  deepStrictEqual(spawns(b.submit("t2")), ["box"]);
});

Deno.test("a fetch that takes longer than a hub's word is good is waited for all the same", () => {
  const b = new Bench("local").allUp();
  b.submit("t1", { timeoutMs: 3_600_000 });
  b.known();
  b.now += limits.modelFactsMs + 1;
  const progress = { stage: "downloading" as const, bytes_downloaded: 1, bytes_total: 2, speed_mbps: 3 };
  const effects = b.tell({ type: "fetchProgress", fetch: "fetch-1", progress });
  deepStrictEqual([of(effects, "stopFetch"), lookUps(effects), of(effects, "progress").length], [[], [], 1]);
  deepStrictEqual(spawns(b.tell({ type: "fetchDone", fetch: "fetch-1" })), ["local"]);
});
