/**
 * The logs that workers leave behind: kept for whoever asks why one died, but not for ever.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";

/** Removes all but the newest logs of workers. Returns how many files went; never throws. */
export function pruneWorkerLogs(folder: string, keptMax: number = limits.workerLogsKeptMax): number {
  try {
    const logs = [...Deno.readDirSync(folder)]
      .filter((entry) => entry.isFile && /^worker-[0-9a-f]{8}\.log(\.\d)?$/.test(entry.name))
      .map((entry) => ({ path: `${folder}/${entry.name}`, at: modified(`${folder}/${entry.name}`) }))
      .sort((a, b) => b.at - a.at)
      .slice(keptMax);
    for (const log of logs) Deno.removeSync(log.path);
    return logs.length;
  } catch {
    return 0; // no folder yet, or another hive tidies up at the same time
  }
}

function modified(path: string): number {
  return Deno.statSync(path).mtime?.getTime() ?? 0;
}
