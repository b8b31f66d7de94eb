/**
 * Why a hive that was started ended before it listened. Pure.
 *
 * @module
 */
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import { isErrorCode } from "../protocol/error_codes.ts";
import type { Ended } from "../runtime/process.ts";

/**
 * Returns `HIVE_START_FAILED` with the error that the hive printed, or else how it ended. `details.signal` names the
 * signal of a hive that somebody else killed: its next start may well succeed.
 */
export function startFailure(tail: string, ended: Ended): RbeeError {
  const [, message, code] = tail.match(/Error: (.+) \(([A-Z][A-Z0-9_]+)\)/) ?? [];
  const hint = tail.match(/^Suggestion: (.+)$/m)?.[1];
  const cause = code !== undefined && isErrorCode(code)
    ? new RbeeError(code as ErrorCode, { message, hint })
    : undefined;
  const signal = ended.cause === "exited" ? ended.signal : null;
  return new RbeeError("HIVE_START_FAILED", {
    message: `Cannot start the hive: ${cause?.message ?? howItEnded(tail, ended)}`,
    details: signal === null ? {} : { signal },
    hint: cause?.hint,
    cause,
  });
}

function howItEnded(tail: string, { signal }: Ended): string {
  // What it last said is not why it was killed.
  if (signal !== null) return `it ended with signal ${signal}`;
  return tail.trim().split("\n").at(-1)?.trim() || "it ended without a word";
}
