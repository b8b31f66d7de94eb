import { deepStrictEqual, ok } from "node:assert/strict";
import type { HiveStatus } from "../protocol/hive_routes.ts";
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

function statusOf(workers: WorkerRecord[], models: ModelFacts[], { freeMb = 1_500 } = {}): HiveStatus {
  return {
    version: "0.1.0",
    machine: {
      ...{ hostname: "here", platform: "linux-x64", cpu_cores: 2, gpus: [] },
      ...{ memory_total_bytes: 2_000 * mb, memory_available_bytes: freeMb * mb },
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
  ok(b.tell({ type: "streamEnded", task: "t1", attempt: 1, end: { kind: "done", failed: false } })
    .some((e) => e.type === "startTask" && e.task === "t2"));
});
