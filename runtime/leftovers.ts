/**
 * What daemons that were killed leave behind: a file that names a process that lives no more, folders of workers that
 * died with their hive, and sockets of a queen's SSH connections.
 *
 * @module
 */
import { isAlive } from "./other_process.ts";
import type { Paths } from "./paths.ts";
import { readRunning } from "./running.ts";

/** The name of the file in a worker's folder that says whose it is. */
export const workerPidFile = "pid";

/**
 * Removes them, and nothing that belongs to a living process. Returns how many living ones it met: after a queen was
 * killed her children need a moment to follow her. Never throws.
 */
export function removeLeftovers(paths: Paths): number {
  let living = 0;
  for (const path of [paths.queenFile, paths.hiveFile]) {
    const running = readRunning(path);
    if (running && isAlive(running.pid)) living++;
    else if (running) {
      remove(path);
      if (path === paths.queenFile) remove(paths.sshSockets); // her connections have ended with her
    }
  }
  for (const { path, pid } of workerFolders(paths.workers)) {
    // One without a pid may be just beginning: the next hive, who is alone then, sees to it.
    if (pid > 0 && isAlive(pid)) living++;
    else if (pid > 0) remove(path);
  }
  return living;
}

/** Returns the folders of workers below `root`; `pid` is 0 when the worker was not started yet. Never throws. */
export function workerFolders(root: string): { id: string; path: string; pid: number }[] {
  try {
    return [...Deno.readDirSync(root)].filter((entry) => entry.isDirectory).map(({ name: id }) => {
      const path = `${root}/${id}`;
      return { id, path, pid: pidIn(`${path}/${workerPidFile}`) };
    });
  } catch {
    return []; // no worker was ever started here
  }
}

function pidIn(path: string): number {
  try {
    return Number(Deno.readTextFileSync(path)) || 0;
  } catch {
    return 0; // its hive was killed between making the folder and starting the worker
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch {
    // gone already
  }
}
