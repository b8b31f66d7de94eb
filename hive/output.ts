/**
 * What the hive's commands write for a person at a terminal.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";

const encoder = new TextEncoder();

/** Writes text to stdout. Returns nothing; a reader that left (`| head`) is no fault. */
export function writeOut(text: string): void {
  write(Deno.stdout, text);
}

/** Writes text to stderr. Returns nothing. */
export function writeErr(text: string): void {
  write(Deno.stderr, text);
}

function write(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  try {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
  } catch {
    // the pipe is closed: nobody reads
  }
}

/** Shows an error and what to do next. Returns the exit code for it. */
export function showError(error: RbeeError): number {
  writeErr(`[rbee-hive] ❌ Error: ${error.message} (${error.code})\n\nSuggestion: ${error.hint}\n`);
  return error.code === "USAGE" ? 2 : 1;
}
