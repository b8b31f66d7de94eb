import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import type { HiveStatus } from "../protocol/hive_status.ts";
import { limits } from "../protocol/limits.ts";
import type { ModelFacts } from "../protocol/model.ts";
import type { WorkerRecord } from "../protocol/worker.ts";
import { Scheduler } from "./scheduler.ts";
import type { Effect, SchedulerEvent } from "./scheduler_messages.ts";

const mb = 1024 * 1024;
const factsOf = (ref: string, sizeMb: number): ModelFacts => ({
  ...{ ref, size_bytes: sizeMb * mb, digest: null, quantization: "Q4_0", shape: null },
});
/** They take 1200, 2400, 3600 and 1200 MB. */
const one = factsOf("hf:org/one:Q4_0", 1_000);
const two = factsOf("hf:org/two:Q4_0", 2_000);
const three = factsOf("hf:org/three:Q4_0", 3_000);
const four = factsOf("hf:org/four:Q4_0", 1_000);

const recordOf = (id: string, model: ModelFacts, more: Partial<WorkerRecord> = {}): WorkerRecord => ({
  ...{ id, url: "http://127.0.0.1:8081", port: 8081, model_ref: model.ref, backend: "cpu", device: 0, state: "idle" },
  ...{ slots_total: 1, slots_available: 1, last_activity_unix: 0, failed_health_checks: 0, pid: 1 },
  ...more,
});

/** Nobody ends it to make room. */
const busy = { state: "busy" as const, slots_available: 0 };

/** A machine with the four models on its disk, beside another one that has no memory at all: so nobody is asked blindly. */
class Bench {
  now = 1_000;
  readonly #scheduler = new Scheduler({
    ...{ nodes: ["local", "box"], loadMs: 300_000, spawnMs: 60_000, random: () => 0 },
  });

  constructor() {
    this.show(0, [], "box");
  }

  tell(event: SchedulerEvent): Effect[] {
    return this.#scheduler.handle(event, this.now);
  }

  show(freeMb: number, workers: WorkerRecord[], node = "local"): Effect[] {
    const machine = {
      ...{ hostname: node, platform: "linux-x64", cpu_cores: 2, gpus: [] },
      ...{ memory_total_bytes: 8_000 * mb, memory_available_bytes: freeMb * mb },
    };
    const status: HiveStatus = { version: "0.1.0", machine, workers, models: [one, two, three, four] };
    return this.tell({ type: "hiveStatus", node, status });
  }

  gone(worker: string): Effect[] {
    return this.tell({ type: "workerGone", node: "local", gone: { worker_id: worker, reason: "stopped" } });
  }

  /** Whether a task for that model gets a worker now, without another one ending; it leaves the queue again. */
  fits({ ref }: ModelFacts): boolean {
    const wish = { id: "probe", kind: "infer" as const, demand: { model: ref }, waitMs: 7_000, timeoutMs: 60_000 };
    const effects = this.tell({ type: "taskSubmitted", wish });
    const [spawn] = effects.flatMap((e) => e.type === "spawnWorker" ? [e.spawn] : []);
    this.tell({ type: "taskCancelled", task: "probe", gently: false });
    if (spawn === undefined) return false;
    this.tell({ type: "spawnFailed", spawn, error: new RbeeError("WORKER_START_FAILED") });
    return true;
  }
}

Deno.test("what a gone worker held is free before the machine's figures show it, once and not twice", () => {
  const b = new Bench();
  b.show(1_300, [recordOf("w", one, busy)]);
  ok(b.fits(four) && !b.fits(two));
  b.gone("w");
  ok(b.fits(two)); // 1300 and the 1200 that it held
  ok(!b.fits(three)); // twice as much would do
  // The figures show it now: nothing is added any more.
  b.show(2_500, []);
  ok(b.fits(two) && !b.fits(three));
});

Deno.test("a gone worker that new figures do not count any more adds nothing to them", () => {
  const b = new Bench();
  b.show(1_300, [recordOf("w", one, busy)]);
  b.show(2_500, []); // not shown any more, and its memory is
  ok(b.fits(two) && !b.fits(three));
  b.gone("w");
  ok(!b.fits(three));
});

Deno.test("what a new worker holds is taken before the machine's figures show it", () => {
  const b = new Bench();
  b.show(2_500, []);
  ok(b.fits(two));
  b.show(2_500, [recordOf("w", one, { state: "loading" })]); // the same figures: they are older than it
  ok(b.fits(four) && !b.fits(two));
  b.show(1_301, [recordOf("w", one, busy)]); // they show it: it is not counted a second time
  ok(b.fits(four));
});

Deno.test("an idle worker that somebody who waits is about to take does not make room for another", () => {
  const b = new Bench();
  b.show(100, [recordOf("w", one)]);
  const submit = (id: string, { ref }: ModelFacts) => {
    const wish = { id, kind: "infer" as const, demand: { model: ref }, waitMs: 60_000, timeoutMs: 90_000 };
    return b.tell({ type: "taskSubmitted", wish });
  };
  submit("running", one);
  submit("for-room", four); // came first, and needs the worker's memory
  submit("for-slot", one);
  const after = b.tell({ type: "streamEnded", task: "running", attempt: 1, end: { kind: "done", failed: false } });
  deepStrictEqual(after.flatMap((e) => e.type === "stopWorker" || e.type === "startTask" ? [e.type] : []), [
    "startTask",
  ]);
  strictEqual(after.find((e) => e.type === "startTask")?.task, "for-slot");
});

Deno.test("whoever has long waited for the memory of a worker comes before those who came later and want the worker", () => {
  const b = new Bench();
  b.show(100, [recordOf("w", one)]);
  const submit = (id: string, { ref }: ModelFacts) => {
    const wish = { id, kind: "infer" as const, demand: { model: ref }, waitMs: 600_000, timeoutMs: 900_000 };
    return b.tell({ type: "taskSubmitted", wish });
  };
  const done = (task: string) => {
    const effects = b.tell({ type: "streamEnded", task, attempt: 1, end: { kind: "done", failed: false } });
    return effects.flatMap((e) => e.type === "startTask" ? [e.task] : e.type === "stopWorker" ? ["evicted"] : []);
  };
  submit("t0", one);
  submit("older", one);
  submit("for-room", four);
  submit("younger", one);
  b.now += limits.roomPatienceMs;
  submit("youngest", one);
  deepStrictEqual(done("t0"), ["older"]);
  deepStrictEqual(done("older"), ["evicted"]);
  const [spawn] = b.gone("w").flatMap((e) => e.type === "spawnWorker" ? [e] : []);
  strictEqual(spawn.demand.model, four.ref);
});
