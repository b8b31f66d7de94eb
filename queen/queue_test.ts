import { deepStrictEqual, ok } from "node:assert/strict";
import type { HiveStatus } from "../protocol/hive_status.ts";
import { limits } from "../protocol/limits.ts";
import type { WorkerRecord } from "../protocol/worker.ts";
import { Outbox } from "./outbox.ts";
import { Scheduler } from "./scheduler.ts";
import type { Effect, SchedulerEvent, TaskWish } from "./scheduler_messages.ts";
import { SlotWait } from "./slot_wait.ts";
import { workerRecord } from "./testdata/scheduler_bench.ts";

const model = "builtin:tiny";

/** A scheduler with one worker of one slot that writes 10 tokens in a second. */
class Bench {
  now = 1_000;
  readonly scheduler: Scheduler;

  constructor(...nodes: string[]) {
    this.scheduler = new Scheduler({ nodes, loadMs: 300_000, spawnMs: 60_000, random: () => 0 });
    nodes.forEach((node, at) => this.tell({ type: "hiveStatus", node, status: statusOf(at === 0 ? [record] : []) }));
  }

  tell(event: SchedulerEvent): Effect[] {
    return this.scheduler.handle(event, this.now);
  }

  submit(id: string, more: Partial<TaskWish> = {}): Effect[] {
    const wish = { id, kind: "infer" as const, demand: { model }, waitMs: 300_000, timeoutMs: 600_000, ...more };
    return this.tell({ type: "taskSubmitted", wish });
  }

  ended(task: string): Effect[] {
    return this.tell({ type: "streamEnded", task, attempt: 1, end: { kind: "done", failed: false } });
  }

  fire(timer: string, afterMs: number): Effect[] {
    this.now += afterMs;
    return this.tell({ type: "timerFired", timer });
  }
}

const record = workerRecord({ id: "w" });

function statusOf(workers: WorkerRecord[]): HiveStatus {
  const speed = { prefill_tokens_per_second: 1e6, decode_tokens_per_second: 10, tasks: 1 };
  return {
    version: "0.1.0",
    machine: {
      ...{ hostname: "here", platform: "linux-x64", cpu_cores: 2, gpus: [] },
      ...{ memory_total_bytes: 1e10, memory_available_bytes: 1e10 },
    },
    workers,
    models: [{ ref: model, size_bytes: 2 ** 20, digest: null, quantization: null, shape: null }],
    speeds: [{ backend: "cpu", device: 0, size_class: 20, ...speed }],
  };
}

const started = (effects: Effect[]) => effects.flatMap((e) => e.type === "startTask" ? [e.task] : []);
const said = (effects: Effect[]) => effects.flatMap((e) => e.type === "narrate" ? [e.narration.human] : []);

Deno.test("whoever waits longer than usual reads its place and when it is expected to begin", () => {
  const b = new Bench("local");
  b.submit("t1", { answerTokens: 200 });
  b.submit("t2", { answerTokens: 100 });
  const lines = said(b.submit("t3"));
  deepStrictEqual(lines, ["⏳ Worker is busy: position 2 of 2, expected start in 30 s"]);
  b.now += 15_000;
  deepStrictEqual(said(b.ended("t1")), []); // t2 has the slot now: told when the next line is due
  deepStrictEqual(said(b.fire("say:t3", 1_000)), ["⏳ Worker is busy: position 1 of 1, expected start in 9 s"]);
});

Deno.test("where nobody knows when it begins, the same line is not told again and again", () => {
  const out = new Outbox();
  const wait = new SlotWait("t", 300_000);
  wait.begin(out, { slotsTotal: 1, position: 1, of: 1 });
  deepStrictEqual(said(out.take()), ["⏳ Worker is busy: position 1 of 1"]);
  out.now += limits.busyNarrationMs[0];
  wait.say(out);
  deepStrictEqual(said(out.take()), []);
});

Deno.test("slots go round the clients: one with many tasks does not keep another's first one waiting", () => {
  const b = new Bench("local");
  for (let n = 0; n < 5; n++) b.submit(`a${n}`, { client: "anna" });
  b.submit("b0", { client: "bert" });
  b.submit("b1", { client: "bert" });
  const order: string[] = [];
  for (let next = "a0"; next !== undefined;) {
    order.push(next);
    [next] = started(b.ended(next));
  }
  deepStrictEqual(order, ["a0", "b0", "a1", "b1", "a2", "a3", "a4"]);
});

Deno.test("a queue that has grown long is left for another machine", () => {
  const b = new Bench("local", "box");
  const spawned = (effects: Effect[]) => effects.flatMap((e) => e.type === "spawnWorker" ? [e.node] : []);
  // Each takes half a second, and a new worker as long to load: worth it from the second one in the line on.
  const nodes = ["t1", "t2", "t3", "t4", "t5"].flatMap((id) => spawned(b.submit(id, { answerTokens: 5 })));
  deepStrictEqual(nodes, ["box"]);
});

Deno.test("a task that asks for reasons is told each decision once, with them", () => {
  const b = new Bench("local");
  const reuse = "🧭 It goes to w: w on local holds the model and has a free slot";
  deepStrictEqual(said(b.submit("t1", { explain: true })), [reuse]);
  const waits = said(b.submit("t2", { explain: true }));
  deepStrictEqual(waits[0], "🧭 It waits: w: its slot is busy");
  deepStrictEqual(said(b.tell({ type: "hiveStatus", node: "local", status: statusOf([record]) })), []);
  deepStrictEqual(said(b.ended("t1")), [reuse]);
  deepStrictEqual(said(b.submit("t3")).filter((line) => line.startsWith("🧭")), []);
});

Deno.test("what follows from a decision is not told as another one; who joins what is on its way reads so", () => {
  const b = new Bench();
  b.tell({ type: "nodeAdded", node: "local" });
  b.tell({ type: "hiveStatus", node: "local", status: statusOf([]) });
  const decisions = (effects: Effect[]) => said(effects).filter((line) => line.startsWith("🧭"));
  const first = decisions(b.submit("t1", { explain: true }));
  ok(first.length === 1 && /^🧭 A worker is started on local: cpu: needs \d+ MB/.test(first[0]), first.join());
  deepStrictEqual(decisions(b.submit("t2", { explain: true })), [
    "🧭 It waits: a worker is being started on local",
  ]);
  const worker = { worker_id: "w", url: record.url, state: "loading" as const };
  deepStrictEqual(decisions(b.tell({ type: "spawnAnswered", spawn: "spawn-1", worker })), []);
  const goes = decisions(b.tell({ type: "hiveStatus", node: "local", status: statusOf([record]) }));
  deepStrictEqual([goes.length, goes[0]], [2, "🧭 It goes to w: w on local holds the model and has a free slot"]);
});

Deno.test("whoever does not want to wait is told at once that all slots are busy", () => {
  const b = new Bench("local");
  b.submit("t1");
  const [ended] = b.submit("t2", { waitMs: 0 }).filter((e) => e.type === "taskEnded");
  deepStrictEqual([ended.error?.code, ended.error?.message], ["ALL_SLOTS_BUSY", "Cannot start: all slots are busy"]);
});
