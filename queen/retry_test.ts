import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import { afterFailedAttempt, afterLastRetry, afterWorkerGone, type Verdict } from "./retry.ts";

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
