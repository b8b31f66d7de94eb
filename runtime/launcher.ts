/**
 * Under npx and `deno task` nobody passes on the signal that ends the launcher: whoever kills `npx` leaves the program
 * behind (processes.md 7). So the chain of our ancestors is watched.
 *
 * @module
 */
import { parentPids } from "../native/libc.ts";
import { limits } from "../protocol/limits.ts";

/** Calls `gone` once when one of our ancestors has ended. Keeps nothing alive by itself. */
export function watchLauncher(gone: () => void): void {
  const before = parentPids().join();
  const timer = setInterval(() => {
    if (parentPids().join() === before) return;
    clearInterval(timer);
    gone();
  }, limits.launcherPollMs);
  Deno.unrefTimer(timer);
}
