/**
 * Why a worker is no longer there, told from how its process ended and what was known before. Pure.
 *
 * @module
 */
import type { ErrorFields } from "../protocol/error.ts";
import { type ErrorCode, errorCodes, isErrorCode } from "../protocol/error_codes.ts";
import type { WorkerGone } from "../protocol/hive_status.ts";
import type { WorkerStatus } from "../protocol/worker.ts";
import type { Ended } from "../runtime/process.ts";
import type { Ending, GoneReason } from "./worker.ts";

/** What is known when a worker's process has ended. */
export interface WorkerEnd {
  readonly id: string;
  readonly pid: number;
  /** Why we wanted it to end; undefined when we did not. */
  readonly ending?: Ending;
  readonly ended: Ended;
  readonly wasLoading: boolean;
  /** What it said of itself before: the error of a failed load. */
  readonly error?: WorkerStatus["error"];
  /** The last of what it wrote. */
  readonly tail: string;
  /** Whether the kernel is known to have ended a process for want of memory meanwhile. */
  readonly outOfMemory: boolean;
}

const lastErrorCharsMax = 500;

/** Returns why it went, with its error when it did not go as wished. */
export function explainEnd(end: WorkerEnd): WorkerGone & { reason: GoneReason } {
  if (end.ending) return { worker_id: end.id, ...end.ending };
  if (end.error) return gone(end, "load-failed", { ...end.error, hint: hintOf(end.error.code) });
  const { code, signal } = end.ended;
  if (code === 0 && signal === null) return { worker_id: end.id, reason: "stopped" };
  const said = lastError(end.tail);
  if (end.wasLoading && signal === null && code !== 137) {
    const known = said.code !== undefined && isErrorCode(said.code) ? said.code : "MODEL_LOAD_FAILED";
    return gone(end, "load-failed", { code: known, message: said.text ?? errorCodes[known].summary });
  }
  return gone(end, "crashed", crash(end));
}

function crash(end: WorkerEnd): Partial<ErrorFields> & { code: ErrorCode } {
  const killed = end.ended.signal === "SIGKILL" || end.ended.code === 137;
  if (killed && end.outOfMemory) return { code: "WORKER_OUT_OF_MEMORY" };
  const how = end.ended.signal ? `signal ${end.ended.signal}` : `exit code ${end.ended.code}`;
  return {
    code: "WORKER_CRASHED",
    message: `Cannot finish: the worker died (${how})`,
    hint: killed
      ? `If memory was short, close programs or use a smaller model; see \`rbee logs --worker ${end.id}\``
      : `See \`rbee logs --worker ${end.id}\`, then run the command again`,
  };
}

function gone(
  end: WorkerEnd,
  reason: GoneReason,
  error: { code: string; message?: string; details?: Record<string, unknown>; hint?: string },
): WorkerGone & { reason: GoneReason } {
  const said = lastError(end.tail).text;
  return {
    worker_id: end.id,
    reason,
    error: {
      code: error.code,
      message: error.message ?? (isErrorCode(error.code) ? errorCodes[error.code].summary : "Cannot go on"),
      details: {
        ...error.details,
        worker_id: end.id,
        pid: end.pid,
        exit_code: end.ended.code,
        ...(end.ended.signal && { signal: end.ended.signal }),
        ...(said && { last_error: said }),
      },
      hint: error.hint ?? hintOf(error.code),
    },
  };
}

function hintOf(code: string): string | undefined {
  return isErrorCode(code) ? errorCodes[code].hint : undefined;
}

/**
 * Returns the last error that a worker wrote; when none is in our format, the line that names an error (above a stack
 * trace), else the last line.
 */
export function lastError(tail: string): { code?: string; text?: string } {
  const lines = tail.replace(ansi, "").split("\n").map((line) => line.trim()).filter((line) => line !== "").reverse();
  for (const line of lines) {
    const parsed = parseLine(line);
    if (parsed?.level !== "error") continue;
    const text = [parsed.message, parsed.error].filter((part) => typeof part === "string").join(": ");
    return { code: typeof parsed.code === "string" ? parsed.code : undefined, text: cut(text) };
  }
  // An ordinary line of its log says nothing about an end; the last words of Deno or a library do.
  const foreign = lines.filter((line) => parseLine(line) === undefined);
  const said = foreign.find((line) => /^(error|fatal)\b|Error: /i.test(line)) ?? foreign[0];
  return said === undefined ? {} : { text: cut(said) };
}

// deno-lint-ignore no-control-regex -- terminal sequences begin with one
const ansi = /\u001b\[[0-9;]*m/g;
const cut = (text: string) => text.slice(0, lastErrorCharsMax);

function parseLine(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // a line that was cut in the middle
  }
}
