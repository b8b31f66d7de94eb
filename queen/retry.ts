/**
 * What becomes of a task whose attempt at a worker failed: a pure function. The scheduler is the only place in rbee
 * that tries a task again; nobody below retries, because retries multiply.
 *
 * @module
 */
import { type ErrorCode, fromErrorBody, RbeeError } from "../protocol/error.ts";
import type { WorkerGone } from "../protocol/hive_status.ts";
import type { StreamEnd } from "./scheduler_messages.ts";

/** What to do with the task, and what to think of its worker. */
export type Verdict =
  /** Back to its place in the queue; the worker is well and has no room. */
  | { readonly then: "wait" }
  /** Once more, on another worker than this one. */
  | { readonly then: "retry"; readonly error: RbeeError }
  | { readonly then: "fail"; readonly error: RbeeError; readonly suspect: boolean };

/** Codes that say that the worker is gone or going, not that the task is bad. */
const workerIsGone: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "CONNECTION_TIMEOUT",
  "CONNECTION_LOST",
  "SHUTTING_DOWN",
  "WORKER_NOT_FOUND",
  "WORKER_FAILED",
  "WORKER_CRASHED",
  "WORKER_UNHEALTHY",
]);

/** Returns what follows from the end of an attempt that was neither finished nor stopped by us. */
export function afterFailedAttempt(end: Extract<StreamEnd, { kind: "refused" | "broken" }>): Verdict {
  if (end.kind === "broken") {
    // What was sent cannot be taken back: a second run would give the client another text from its beginning.
    if (end.begun) return { then: "fail", error: end.error, suspect: true };
    return { then: "retry", error: end.error };
  }
  if (end.error.code === "ALL_SLOTS_BUSY" || end.error.code === "WORKER_NOT_READY") return { then: "wait" };
  if (workerIsGone.has(end.error.code)) return { then: "retry", error: end.error };
  return { then: "fail", error: end.error, suspect: false };
}

/** What was gone when something is to be tried again. */
export type LostPart = "worker" | "hive" | "hiveStart";

/** How often a task is tried again. A hive that ends takes first its workers along, then what was asked of it: two for one cause. */
export const retriesMax: Readonly<Record<LostPart, number>> = { worker: 1, hive: 2, hiveStart: 1 };

/** Returns what an error says was gone. */
export function lostPart(error: RbeeError): LostPart {
  if (error.code === "HIVE_START_FAILED" || error.code === "NODE_NOT_INSTALLED") return "hiveStart";
  if (error.code.startsWith("SSH_")) return "hiveStart";
  // A machine that could not be reached; of a worker's own port the error knows no node.
  if (error.code === "CONNECTION_TIMEOUT" && error.details.node !== undefined) return "hiveStart";
  return error.code === "CONNECTION_LOST" || error.code === "SHUTTING_DOWN" ? "hive" : "worker";
}

/** Returns the error of a task that was tried again in vain. */
export function afterLastRetry(error: RbeeError): RbeeError {
  // The hive's word on why nothing could be started says more than that it failed twice.
  if (lostPart(error) !== "worker" || error.code === "WORKER_START_FAILED") return error;
  return new RbeeError("WORKER_FAILED", {
    message: "Cannot finish: the worker died twice before its first token",
    details: error.details,
    cause: error,
  });
}

/** What one machine cannot do and another may well. */
const ofMachine: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "VRAM_EXHAUSTED",
  "INSUFFICIENT_RAM",
  "INSUFFICIENT_VRAM",
  "INSUFFICIENT_RESOURCES",
  "INSUFFICIENT_DISK",
  "DISK_FULL",
  "BACKEND_UNAVAILABLE",
  "DEVICE_NOT_AVAILABLE",
  "CONNECTION_LOST",
  "CONNECTION_TIMEOUT",
  "SHUTTING_DOWN",
]);

/** Whether an error is about the machine, so that another one may do. */
export const isOfMachine = (error: RbeeError): boolean => ofMachine.has(error.code);

/** Returns what follows for a task that waited for a worker of a hive that is gone (`lost`), or could not be had. */
export function afterHiveGone(error: RbeeError, lost: boolean): Verdict {
  // A start that somebody's signal ended says nothing about the next one; the hive's own error would be the same again.
  const killed = error.code === "HIVE_START_FAILED" && error.details.signal !== undefined;
  // Nor does a connection that broke while the hive was being looked for.
  const cut = error.code === "CONNECTION_LOST";
  return lost || killed || cut ? { then: "retry", error } : { then: "fail", error, suspect: false };
}

/** Returns what follows for a task that waited for a worker which is gone before it had loaded. */
export function afterWorkerGone(gone: WorkerGone): Verdict {
  const error = goneError(gone);
  // A file that cannot be loaded, or memory that is short, will be so again.
  const deterministic = gone.error !== undefined && !workerIsGone.has(error.code) && gone.reason !== "crashed";
  return deterministic ? { then: "fail", error, suspect: false } : { then: "retry", error };
}

/** Returns the error that says why a worker is gone; its hive's own where there is one. */
export function goneError(gone: WorkerGone): RbeeError {
  if (gone.error !== undefined) return fromErrorBody({ error: { retryable: false, hint: "", ...gone.error } });
  return new RbeeError("WORKER_CRASHED", {
    message: `Cannot finish: the worker ${gone.worker_id} is gone (${gone.reason})`,
    details: { worker_id: gone.worker_id, reason: gone.reason },
  });
}
