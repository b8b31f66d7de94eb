/**
 * Why a daemon did not come up: what it wrote before its own log was open, read back.
 *
 * @module
 */
import { type ErrorCode, fromErrorBody, isErrorBody, RbeeError } from "../protocol/error.ts";
import { isErrorCode } from "../protocol/error_codes.ts";

const linesShown = 5;
const bytesMax = 64 * 1024;

/** Returns `QUEEN_START_FAILED` with the last lines of the log, or the error that the queen herself named there. */
export function bootError(path: string, how: string): RbeeError {
  const lines = lastLines(path);
  const own = ownError(lines);
  if (own) return own;
  const last = lines.slice(-linesShown);
  return new RbeeError("QUEEN_START_FAILED", {
    message: `Cannot start the queen: ${how}${last.length > 0 ? `: ${last.at(-1)}` : ""}`,
    details: { log: path, lines: last },
    hint: `Look at ${path}, or run queen-rbee daemon by hand`,
  });
}

function lastLines(path: string): string[] {
  try {
    const text = Deno.readTextFileSync(path).slice(-bytesMax);
    // deno-lint-ignore no-control-regex -- terminal sequences begin with one
    return text.replace(/\x1b\[[0-9;]*m/g, "").split("\n").map((line) => line.trimEnd()).filter((line) => line !== "");
  } catch {
    return []; // she did not come so far
  }
}

/** Returns the error that the lines hold: an error body, or `[queen-rbee] ❌ Error: message (CODE)` with its hint. */
function ownError(lines: readonly string[]): RbeeError | undefined {
  for (const [at, line] of lines.entries()) {
    const body = json(line);
    if (isErrorBody(body)) return fromErrorBody(body);
    const [, message, code] = line.match(/Error: (.+) \(([A-Z][A-Z0-9_]+)\)$/) ?? [];
    if (code === undefined || !isErrorCode(code)) continue;
    const hint = lines.slice(at + 1).map((next) => next.match(/^Suggestion: (.+)$/)?.[1]).find((text) => text);
    return new RbeeError(code as ErrorCode, { message, hint });
  }
}

function json(line: string): unknown {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
