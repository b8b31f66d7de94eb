import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { WorkerRecord } from "../protocol/worker.ts";
import { Scheduler } from "./scheduler.ts";
import type { Effect, SchedulerEvent } from "./scheduler_messages.ts";

const machine = {
  ...{ hostname: "box", platform: "linux-x64", cpu_cores: 2, memory_total_bytes: 1, memory_available_bytes: 1 },
  gpus: [],
};

/** A scheduler whose machines come and go, with a clock that stands. */
class Bench {
  readonly scheduler = new Scheduler({ nodes: ["local"], loadMs: 300_000, spawnMs: 60_000, random: () => 0 });

  tell(event: SchedulerEvent): Effect[] {
    return this.scheduler.handle(event, 1_000);
  }

  submit(node?: string): Effect[] {
    const demand = { model: "builtin:tiny", node };
    return this.tell({
      type: "taskSubmitted",
      wish: { id: "t", kind: "infer", demand, waitMs: 7_000, timeoutMs: 60_000 },
    });
  }

  failed(node: string, error: RbeeError): Effect[] {
    return this.tell({ type: "hiveFailed", node, error });
  }
}

const hives = (effects: Effect[]) => effects.flatMap((e) => e.type === "ensureHive" ? [e.node] : []);
const ended = (effects: Effect[]) => effects.flatMap((e) => e.type === "taskEnded" ? [e.error?.code] : []);
const timers = (effects: Effect[]) => effects.flatMap((e) => e.type === "setTimer" ? [e.timer] : []);
const unreachable = (node: string) => new RbeeError("CONNECTION_TIMEOUT", { details: { node } });

Deno.test("a registered machine is a node at once, and its hive is asked for when a task names it", () => {
  const bench = new Bench();
  deepStrictEqual(ended(bench.submit("box")), ["NODE_NOT_FOUND"]);
  deepStrictEqual(bench.tell({ type: "nodeAdded", node: "box" }), []);
  deepStrictEqual(bench.scheduler.nodes().map((n) => n.name), ["local", "box"]);
  deepStrictEqual(hives(bench.submit("box")), ["box"]);
});

Deno.test("a machine that is removed takes its waiting task along, with the reason, and is no node any more", () => {
  const bench = new Bench();
  bench.tell({ type: "nodeAdded", node: "box" });
  bench.submit("box");
  const effects = bench.tell({ type: "nodeRemoved", node: "box", error: new RbeeError("NODE_UNREACHABLE") });
  deepStrictEqual(ended(effects), ["NODE_UNREACHABLE"]);
  deepStrictEqual(bench.scheduler.counts(), { waiting: 0, running: 0, slotsHeld: 0, spawns: 0, timers: 0 });
  deepStrictEqual(bench.scheduler.nodes().map((n) => n.name), ["local"]);
});

Deno.test("what the hive of a removed machine still says while it ends brings none of its workers back", () => {
  const bench = new Bench();
  bench.tell({ type: "nodeAdded", node: "box" });
  bench.tell({ type: "nodeRemoved", node: "box", error: new RbeeError("NODE_UNREACHABLE") });
  const worker: WorkerRecord = {
    ...{ id: "w", url: "http://127.0.0.1:8081", port: 8081, model_ref: "builtin:tiny", backend: "cpu", device: 0 },
    ...{ state: "idle", slots_total: 1, slots_available: 1, last_activity_unix: 0, failed_health_checks: 0, pid: 1 },
  };
  bench.tell({ type: "hiveStatus", node: "box", status: { version: "0.1.0", machine, workers: [worker] } });
  deepStrictEqual(bench.scheduler.workers(), []);
});

Deno.test("a task that names a machine which cannot be reached fails with the reason", () => {
  const bench = new Bench();
  bench.tell({ type: "nodeAdded", node: "box" });
  bench.submit("box");
  deepStrictEqual(ended(bench.failed("box", unreachable("box"))), ["CONNECTION_TIMEOUT"]);
});

Deno.test("a task that names no machine gets another one when the first cannot be reached, and fails when that fails too", () => {
  const bench = new Bench();
  bench.tell({ type: "nodeAdded", node: "box" });
  deepStrictEqual(hives(bench.submit()), ["local"]);
  const effects = bench.failed("local", unreachable("local"));
  deepStrictEqual(ended(effects), []);
  deepStrictEqual(hives(effects), ["box"]);
  deepStrictEqual(ended(bench.failed("box", unreachable("box"))), ["CONNECTION_TIMEOUT"]);
});

Deno.test("what a person must mend is not knocked at again and again; a machine that was off is", () => {
  for (
    const [code, again] of [["SSH_AUTH_FAILED", false], ["NODE_NOT_INSTALLED", false], [
      "CONNECTION_TIMEOUT",
      true,
    ]] as const
  ) {
    const bench = new Bench();
    bench.tell({ type: "nodeAdded", node: "box" });
    bench.tell({ type: "hiveWanted", node: "box" });
    const effects = bench.failed("box", new RbeeError(code, { details: { node: "box" } }));
    strictEqual(timers(effects).includes("hive:box"), again, code);
    ok(hives(bench.submit("box")).includes("box"), "the next task asks at once");
  }
});

Deno.test("streams of a machine that cannot be reached are given up soon; those of a hive that died may go on", () => {
  const idle = {
    ...{ id: "worker-a", url: "http://127.0.0.1:8081", port: 8081, model_ref: "builtin:tiny", backend: "cpu" as const },
    ...{ device: 0, state: "idle" as const, slots_total: 1, slots_available: 1, last_activity_unix: 0 },
    ...{ failed_health_checks: 0, pid: 1 },
  };
  const machine = {
    ...{ hostname: "box", platform: "linux-x64", cpu_cores: 2, memory_total_bytes: 1, memory_available_bytes: 1 },
    gpus: [],
  };
  const lostAfter = (unreachable: boolean) => {
    const bench = new Bench();
    bench.tell({ type: "nodeAdded", node: "box" });
    bench.tell({ type: "hiveStatus", node: "box", status: { version: "0.1.0", machine, workers: [idle] } });
    bench.submit("box");
    const error = new RbeeError("CONNECTION_LOST", { details: { node: "box" } });
    const effects = bench.tell({ type: "hiveLost", node: "box", error, unreachable });
    return effects.flatMap((e) => e.type === "setTimer" && e.timer === "lost:t" ? [e.ms] : [])[0];
  };
  strictEqual(lostAfter(true), limits.lostWorkerGraceMs);
  strictEqual(lostAfter(false), limits.drainMs);
});
