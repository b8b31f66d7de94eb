/**
 * Whether a queen runs that an installation concerns.
 *
 * @module
 */
import { isAlive, programPath, runsProgram } from "../runtime/other_process.ts";
import { dirname } from "../runtime/path.ts";
import { runOnce } from "../runtime/process.ts";
import { readRunning } from "../runtime/running.ts";

/** A running queen. */
export interface RunningQueen {
  readonly pid: number;
  /** Unknown for another person's. */
  readonly version?: string;
}

/** Returns the queen of this `queen.json`, when she is alive. */
export function ownQueen(queenFile: string): RunningQueen | undefined {
  const running = readRunning(queenFile);
  if (!running || !isAlive(running.pid) || runsProgram(running.pid, "queen-rbee") === false) return undefined;
  return { pid: running.pid, version: running.version };
}

/**
 * Returns a queen that was started from this bin folder, whosever she is. One of `queen.json` whose program's path is
 * not known counts.
 */
export async function queenOfFolder(
  bin: string,
  { queenFile, signal }: { queenFile: string; signal: AbortSignal },
): Promise<RunningQueen | undefined> {
  const folder = await Deno.realPath(bin).catch(() => bin);
  const own = ownQueen(queenFile);
  if (own) {
    const path = programPath(own.pid);
    if (!path?.startsWith("/") || dirname(path) === folder) return own;
  }
  const found = await runOnce("pgrep", ["-x", "queen-rbee"], { signal }); // undefined where there is no pgrep
  for (const pid of found?.stdout.split("\n").map(Number) ?? []) {
    if (pid > 0 && isAlive(pid) && dirname(programPath(pid) ?? "") === folder) return { pid };
  }
  return undefined;
}
