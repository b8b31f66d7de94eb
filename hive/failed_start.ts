/**
 * Why a worker that was started never listened. Pure.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { Ended } from "../runtime/process.ts";
import { lastError } from "./worker_end.ts";

/** What is known of a start that failed. */
export interface FailedStart {
  readonly id: string;
  readonly ended: Ended;
  readonly tail: string;
  /** Whether it ended by itself before its time was over. */
  readonly inTime: boolean;
  readonly readyMs: number;
}

/** Returns whether a worker ended because another program was faster on its port. */
export function wasPortTaken(tail: string): boolean {
  return lastError(tail).code === "PORT_TAKEN";
}

/** Returns the error for the caller of spawn. */
export function whyNotListening(start: FailedStart): RbeeError {
  const said = lastError(start.tail).text;
  const how = start.ended.signal ? `signal ${start.ended.signal}` : `exit code ${start.ended.code}`;
  const why = start.inTime ? `it ended with ${how}` : `it did not report within ${start.readyMs / 1_000} s`;
  return new RbeeError("WORKER_START_FAILED", {
    message: `Cannot start the worker: ${why}${said ? ` (${said})` : ""}`,
    details: {
      worker_id: start.id,
      ...(start.inTime ? { exit_code: start.ended.code } : { ready_timeout_s: start.readyMs / 1_000 }),
      ...(said && { last_error: said }),
    },
    hint: `Look at \`rbee logs --worker ${start.id}\``,
  });
}
