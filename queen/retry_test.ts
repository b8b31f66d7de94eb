import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import { afterFailedAttempt, afterHiveGone, afterLastRetry, afterWorkerGone, type Verdict } from "./retry.ts";
import { Scheduler } from "./scheduler.ts";
import type { Effect, SchedulerEvent } from "./scheduler_messages.ts";

const code = (verdict: Verdict) => verdict.then === "wait" ? undefined : verdict.error.code;
const refused = (code: ErrorCode) => afterFailedAttempt({ kind: "refused", error: new RbeeError(code) });

Deno.test("a worker without room, or that still loads, sends the task back to its place", () => {
  deepStrictEqual(refused("ALL_SLOTS_BUSY"), { then: "wait" });
  deepStrictEqual(refused("WORKER_NOT_READY"), { then: "wait" });
});

Deno.test("a worker that is gone or going is worth one more try, a bad request is not", () => {
  for (const gone of ["CONNECTION_TIMEOUT", "CONNECTION_LOST", "SHUTTING_DOWN"] as const) {
    strictEqual(refused(gone).then, "retry", gone);
  }
  for (const bad of ["CONTEXT_EXCEEDED", "INVALID_REQUEST", "INVALID_API_KEY"] as const) {
    const verdict = refused(bad);
    strictEqual(verdict.then, "fail", bad);
    strictEqual(code(verdict), bad);
  }
});

Deno.test("a broken stream is tried again only while the client has been sent no text", () => {
  const error = new RbeeError("WORKER_CRASHED");
  strictEqual(afterFailedAttempt({ kind: "broken", error, begun: false }).then, "retry");
  const begun = afterFailedAttempt({ kind: "broken", error, begun: true });
  deepStrictEqual(begun, { then: "fail", error, suspect: true });
});

Deno.test("the second death is WORKER_FAILED with the first error as its cause; a lost hive stays what it is", () => {
  const crash = new RbeeError("WORKER_CRASHED");
  const failed = afterLastRetry(crash);
  strictEqual(failed.code, "WORKER_FAILED");
  strictEqual(failed.cause, crash);
  strictEqual(afterLastRetry(new RbeeError("CONNECTION_LOST")).code, "CONNECTION_LOST");
});

Deno.test("a load that failed fails its tasks with the hive's own error; a worker that died while it loaded does not", () => {
  const error = { code: "MODEL_LOAD_FAILED", message: "the file is cut", details: { path: "/m.gguf" } };
  const failed = afterWorkerGone({ worker_id: "w", reason: "load-failed", error });
  strictEqual(failed.then, "fail");
  strictEqual(code(failed), "MODEL_LOAD_FAILED");
  const crashed = { worker_id: "w", reason: "crashed", error: { ...error, code: "WORKER_OUT_OF_MEMORY" } };
  strictEqual(afterWorkerGone(crashed).then, "retry");
  strictEqual(code(afterWorkerGone({ worker_id: "w", reason: "stopped" })), "WORKER_CRASHED");
});

const killedHive = () => new RbeeError("HIVE_START_FAILED", { details: { signal: "SIGKILL" } });

Deno.test("a hive that was killed while it started is worth another try, one that says why it cannot start is not", () => {
  strictEqual(afterHiveGone(killedHive(), false).then, "retry");
  strictEqual(afterHiveGone(new RbeeError("HIVE_START_FAILED"), false).then, "fail");
  strictEqual(afterHiveGone(new RbeeError("CONNECTION_LOST"), true).then, "retry");
  strictEqual(afterHiveGone(new RbeeError("CONNECTION_LOST"), false).then, "retry");
  strictEqual(afterHiveGone(new RbeeError("SSH_CONNECTION_FAILED"), false).then, "fail");
});

Deno.test("a connection that breaks while the hive is looked for costs the task a try, and three times its end", () => {
  const scheduler = new Scheduler({ nodes: ["box"], loadMs: 1_000, spawnMs: 1_000, random: () => 0 });
  const tell = (event: SchedulerEvent): Effect[] => scheduler.handle(event, 0);
  const demand = { model: "builtin:tiny", node: "box" };
  tell({
    type: "taskSubmitted",
    wish: { id: "t1", kind: "infer", demand, waitMs: 7_000, timeoutMs: 60_000 },
  });
  const broken = { type: "hiveFailed", node: "box", error: new RbeeError("CONNECTION_LOST") } as const;
  const seen = [tell(broken), tell(broken), tell(broken)].map((effects) => [
    effects.some((e) => e.type === "ensureHive"),
    effects.flatMap((e) => e.type === "taskEnded" ? [e.error?.code] : []),
  ]);
  deepStrictEqual(seen, [[true, []], [true, []], [false, ["CONNECTION_LOST"]]]);
});

Deno.test("a task whose hive is killed at its start has it started once more, and fails as the hive did the second time", () => {
  const scheduler = new Scheduler({ nodes: ["local"], loadMs: 1_000, spawnMs: 1_000, random: () => 0 });
  const tell = (event: SchedulerEvent): Effect[] => scheduler.handle(event, 0);
  const starts = (effects: Effect[]) => effects.filter((e) => e.type === "ensureHive").length;
  const ends = (effects: Effect[]) => effects.flatMap((e) => e.type === "taskEnded" ? [e.error?.code] : []);
  const demand = { model: "builtin:tiny" };
  const wish = { id: "t1", kind: "infer", demand, waitMs: 7_000, timeoutMs: 60_000 } as const;
  strictEqual(starts(tell({ type: "taskSubmitted", wish })), 1);
  const first = tell({ type: "hiveFailed", node: "local", error: killedHive() });
  deepStrictEqual([starts(first), ends(first)], [1, []]);
  const second = tell({ type: "hiveFailed", node: "local", error: killedHive() });
  deepStrictEqual([starts(second), ends(second)], [0, ["HIVE_START_FAILED"]]);
});
