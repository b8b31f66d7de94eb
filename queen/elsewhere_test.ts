import { deepStrictEqual, ok } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import type { HiveStatus } from "../protocol/hive_status.ts";
import { limits } from "../protocol/limits.ts";
import type { ModelFacts } from "../protocol/model.ts";
import type { WorkerRecord } from "../protocol/worker.ts";
import { Scheduler } from "./scheduler.ts";
import type { Effect, SchedulerEvent, TaskWish } from "./scheduler_messages.ts";

const mb = 1024 * 1024;
const model = "hf:org/repo:Q4_0";
const facts: ModelFacts = { ref: model, size_bytes: 1_000 * mb, digest: null, quantization: "Q4_0", shape: null };

const busy: WorkerRecord = {
  ...{ id: "w", url: "http://127.0.0.1:8081", port: 8081, model_ref: model, backend: "cpu", device: 0, state: "idle" },
  ...{ slots_total: 1, slots_available: 1, last_activity_unix: 0, failed_health_checks: 0, pid: 1 },
};

function statusOf(workers: WorkerRecord[], models: ModelFacts[], { freeMb = 1_500, diskMb = 50_000 } = {}): HiveStatus {
  return {
    version: "0.1.0",
    machine: {
      ...{ hostname: "here", platform: "linux-x64", cpu_cores: 2, gpus: [] },
      ...{ memory_total_bytes: 2_000 * mb, memory_available_bytes: freeMb * mb },
      disk_free_bytes: diskMb * mb,
    },
    workers,
    models,
  };
}

/** Two machines: the first one has a worker with one slot, the second one has neither the model nor room for two. */
class Bench {
  now = 1_000;
  readonly scheduler = new Scheduler({
    ...{ nodes: ["local", "box"], loadMs: 300_000, spawnMs: 60_000, random: () => 0 },
  });

  tell(event: SchedulerEvent): Effect[] {
    return this.scheduler.handle(event, this.now);
  }

  submit(id: string, more: Partial<TaskWish> = {}): Effect[] {
    const wish = { id, kind: "infer" as const, demand: { model }, waitMs: 3_600_000, timeoutMs: 3_600_000, ...more };
    return this.tell({ type: "taskSubmitted", wish });
  }
}

const kinds = (effects: Effect[]) => effects.map((e) => e.type).filter((type) => /^(fetch|stop|spawn)/.test(type));

Deno.test("a fetch that whoever waits for a busy worker has begun is gone on with, however often its room is counted", () => {
  const b = new Bench();
  b.tell({ type: "hiveStatus", node: "local", status: statusOf([busy], [facts]) });
  b.tell({ type: "hiveStatus", node: "box", status: statusOf([], []) });
  b.submit("t1", { answerTokens: 100_000 });
  deepStrictEqual(kinds(b.submit("t2", { answerTokens: 100_000 })), ["fetchModel"]);
  for (let n = 0; n < 3; n++) {
    b.now += 1_000;
    deepStrictEqual(kinds(b.tell({ type: "hiveStatus", node: "box", status: statusOf([], []) })), []);
  }
  ok(
    b.tell({ type: "streamEnded", task: "t1", attempt: 1, end: { kind: "done", failed: false } })
      .some((e) => e.type === "startTask" && e.task === "t2"),
  );
});

Deno.test("what a machine had free before its hive ended says nothing: its workers are gone with it", () => {
  const b = new Bench();
  b.tell({ type: "nodeRemoved", node: "box", error: new RbeeError("NODE_NOT_FOUND") });
  b.tell({ type: "hiveStatus", node: "local", status: statusOf([], [facts], { freeMb: 100, diskMb: 100 }) });
  b.tell({ type: "hiveReleased", node: "local", error: new RbeeError("SHUTTING_DOWN") });
  deepStrictEqual(b.submit("t1").filter((e) => /^(ensureHive|taskEnded)$/.test(e.type)), [
    { type: "ensureHive", node: "local" },
  ]);
});

Deno.test("the queue of a model is bounded by whatever name it is asked for", () => {
  const b = new Bench();
  b.tell({ type: "hiveStatus", node: "local", status: statusOf([busy], [facts]) });
  const short = "hf:org/repo";
  b.tell({ type: "modelKnown", node: "local", model: short, facts, onDisk: true, downloadBytes: 0 });
  b.tell({ type: "nodeRemoved", node: "box", error: new RbeeError("NODE_NOT_FOUND") });
  b.submit("running", { answerTokens: 100_000 });
  for (let n = 0; n < limits.queueTasksPerModelMax; n++) b.submit(`t${n}`);
  const [ended] = b.submit("other", { demand: { model: short } }).filter((e) => e.type === "taskEnded");
  deepStrictEqual(ended.error?.code, "QUEUE_FULL");
});

Deno.test("what is meant by a reference without a quant is what lies on some disk, when the hub cannot be asked", () => {
  for (const code of ["DOWNLOAD_FAILED", "DOWNLOAD_TIMEOUT", "CONNECTION_TIMEOUT"] as const) {
    const b = new Bench();
    b.tell({ type: "hiveStatus", node: "local", status: statusOf([], []) });
    b.tell({ type: "hiveStatus", node: "box", status: statusOf([], [facts]) });
    const short = "hf:org/repo";
    const [asked] = b.submit("t1", { demand: { model: short } }).filter((e) => e.type === "lookUpModel");
    deepStrictEqual(asked.node, "local");
    const found = b.tell({ type: "modelUnknown", node: "local", model: short, error: new RbeeError(code) });
    deepStrictEqual(found.flatMap((e) => e.type === "spawnWorker" ? [e.node] : []), ["box"], code);
  }
});
