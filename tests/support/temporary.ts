/**
 * Where tests put what they make. A folder's name holds the process that made it, so that the next run can clear away
 * what a killed one left behind.
 *
 * @module
 */
import { environment } from "../../runtime/environment.ts";
import { join } from "../../runtime/path.ts";
import { isAlive, killAll, processesUnder } from "./processes.ts";

const prefix = "rbee-t";
const named = /^rbee-t(\d+)-/;

/** Returns the folder for temporary files. */
export function temporaryFolder(): string {
  return Deno.realPathSync(environment("TMPDIR") ?? "/tmp");
}

let swept = false;

/**
 * Returns a new folder, 0700, with a short path: a socket's path has at most about 100 bytes.
 * The first call of a process clears away what runs that no longer live have left: their processes, then their folders.
 */
export function newTemporaryFolder(): string {
  if (!swept) {
    swept = true;
    sweep();
  }
  return Deno.makeTempDirSync({ dir: temporaryFolder(), prefix: `${prefix}${Deno.pid}-` });
}

function sweep(): void {
  for (const entry of Deno.readDirSync(temporaryFolder())) {
    const owner = entry.name.match(named)?.[1];
    if (!owner || !entry.isDirectory || isAlive(Number(owner))) continue;
    const folder = join(temporaryFolder(), entry.name);
    killAll(processesUnder(folder));
    removeFolder(folder);
  }
}

/** Removes a folder with all in it. One that is gone, or that another thread is removing, is fine. */
export function removeFolder(folder: string): void {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      return Deno.removeSync(folder, { recursive: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      // a process that was killed a moment ago was still writing into it: try again
    }
  }
}
