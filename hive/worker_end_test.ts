import assert from "node:assert/strict";
import type { Ended } from "../runtime/process.ts";
import { explainEnd, lastError, type WorkerEnd } from "./worker_end.ts";

const ended = (over: Partial<Ended>): Ended => ({ code: 0, signal: null, cause: "exited", ...over });
const end = (over: Partial<WorkerEnd> = {}): WorkerEnd => ({
  id: "worker-1",
  pid: 42,
  ended: ended({}),
  wasLoading: false,
  tail: "",
  outOfMemory: false,
  ...over,
});

Deno.test("what we wanted counts, however the process then ended", () => {
  const ending = { reason: "idle" } as const;
  assert.deepEqual(explainEnd(end({ ending, ended: ended({ code: 137, signal: "SIGKILL" }) })), {
    worker_id: "worker-1",
    reason: "idle",
  });
});

Deno.test("a worker that was told to end by somebody else was stopped", () => {
  assert.deepEqual(explainEnd(end()), { worker_id: "worker-1", reason: "stopped" });
});

Deno.test("a crash tells pid, signal and last error", () => {
  const tail = '{"level":"info","message":"x"}\n{"level":"error","message":"a fault","error":"Error: boom"}\n';
  const gone = explainEnd(end({ ended: ended({ code: 139, signal: "SIGSEGV" }), tail }));
  assert.equal(gone.reason, "crashed");
  assert.equal(gone.error?.code, "WORKER_CRASHED");
  assert.match(gone.error!.message, /SIGSEGV/);
  assert.deepEqual([gone.error?.details.pid, gone.error?.details.last_error], [42, "a fault: Error: boom"]);
});

Deno.test("a worker that the kernel ended for want of memory says so", () => {
  const ends = ended({ code: 137, signal: "SIGKILL" });
  assert.equal(explainEnd(end({ ended: ends, outOfMemory: true })).error?.code, "WORKER_OUT_OF_MEMORY");
  const unknown = explainEnd(end({ ended: ends }));
  assert.equal(unknown.error?.code, "WORKER_CRASHED");
  assert.match(unknown.error!.hint!, /memory/);
});

Deno.test("a failed load keeps the worker's own error", () => {
  const error = { code: "MODEL_LOAD_FAILED", message: "Cannot load the model: damaged", details: { at: 3 } };
  const gone = explainEnd(end({ error, ended: ended({ code: 1 }), wasLoading: true }));
  assert.deepEqual([gone.reason, gone.error?.message, gone.error?.details.at], [
    "load-failed",
    "Cannot load the model: damaged",
    3,
  ]);
});

Deno.test("a load that failed without a word on the events is told from the log", () => {
  const tail = '{"level":"error","message":"Cannot use the model","code":"MODEL_INCOMPATIBLE"}\n';
  const gone = explainEnd(end({ tail, ended: ended({ code: 1 }), wasLoading: true }));
  assert.deepEqual([gone.reason, gone.error?.code, gone.error?.message], [
    "load-failed",
    "MODEL_INCOMPATIBLE",
    "Cannot use the model",
  ]);
  assert.equal(explainEnd(end({ ended: ended({ code: 1 }), wasLoading: true })).error?.code, "MODEL_LOAD_FAILED");
});

Deno.test("the last words of a library count when the log has no error", () => {
  assert.equal(lastError('{"level":"info"}\nllama.cpp: GGML_ASSERT failed\n').text, "llama.cpp: GGML_ASSERT failed");
  assert.deepEqual(lastError('{"level":"info","message":"fine"}\n'), {});
  const trace = "\u001b[1merror\u001b[0m: Uncaught Error: no library\n    at f (x.js:1:2)\n    at g (x.js:3:4)\n";
  assert.equal(lastError(trace).text, "error: Uncaught Error: no library");
});
