/**
 * Takes back the process's signals from a library of the library: node-llama-cpp imports proper-lockfile, which imports
 * signal-exit, which listens to every signal and, seeing no other listener of Node's kind, kills its own process. A
 * worker that is asked to drain by SIGTERM would die in the middle of it, or, without permission to run, report a fault
 * that nobody caught.
 *
 * @module
 */
import process from "node:process";

/** What only that listener does. A bundler gives its `process` another name. */
const mark = /\b(\w+)\.kill\(\1\.pid\b/;

/** Removes those listeners; returns how many there were. Call it after the library was imported. */
export function releaseSignals(): number {
  let removed = 0;
  for (const signal of process.eventNames()) {
    if (typeof signal !== "string" || !signal.startsWith("SIG")) continue;
    for (const listener of process.listeners(signal as "SIGTERM")) {
      if (!mark.test(String(listener))) continue;
      process.removeListener(signal, listener);
      removed++;
    }
  }
  return removed;
}
