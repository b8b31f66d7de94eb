/**
 * Ends a child when the process that started it is gone, however that one ended.
 *
 * @module
 */
import { dieWithParent as setParentDeathSignal } from "../native/libc.ts";
import { environment } from "./environment.ts";

/**
 * The first statement of a daemon that another program may have started. Two ways at once: the kernel's signal on
 * Linux (it also ends a process that is stopped or stuck), and the end of stdin, the pipe that our starter holds.
 * Does nothing in a program that was started by hand.
 */
export function dieWithParent(): void {
  const parent = Number(environment("RBEE_PARENT_PID") ?? 0);
  if (!parent) return;
  watchStdin();
  setParentDeathSignal(parent);
  // It may have died before the signal was set. Never compare with 1: a subreaper may have adopted us.
  if (Deno.ppid !== parent) Deno.exit(0);
}

async function watchStdin(): Promise<void> {
  const buffer = new Uint8Array(256);
  try {
    while (await Deno.stdin.read(buffer) !== null) { /* nothing is ever sent */ }
  } catch {
    // closed: the same as its end
  }
  Deno.exit(0);
}
