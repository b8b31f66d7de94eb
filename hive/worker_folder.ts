/**
 * The one folder that a worker may read: made for it, with a link to its model's file, and removed after it.
 *
 * @module
 */
import { readKernelFile } from "../native/libc.ts";
import { workerFolders, workerPidFile as pidFile } from "../runtime/leftovers.ts";
import { isAlive } from "../runtime/other_process.ts";
import { basename } from "../runtime/path.ts";
import { tlsFileNames, type TlsFiles } from "../runtime/serve.ts";

/** What lies in it besides the model. */
const ownNames: readonly string[] = [pidFile, tlsFileNames.cert, tlsFileNames.key];

/** A worker's folder. */
export interface WorkerFolder {
  /** Its real path: permissions are compared by real paths. */
  readonly path: string;
  /** The model's name inside it, with `./` before it: a file may be called `--help.gguf`. */
  readonly model: string;
  /** Notes whose folder it is, for the hive that comes after one that was killed. */
  claim(pid: number): void;
  /** Removes it; never throws. */
  remove(): void;
}

/**
 * Makes `$RBEE_HOME/workers/<id>/` (0700) with a symlink to the model, and with the certificate and key (0600) that the
 * hive uses now: its files may be replaced while workers run. Throws what the file system throws.
 */
export function makeWorkerFolder(
  root: string,
  options: { id: string; modelPath: string; tls?: TlsFiles },
): WorkerFolder {
  const folder = `${root}/${options.id}`;
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  Deno.chmodSync(folder, 0o700);
  const path = Deno.realPathSync(folder);
  const name = basename(options.modelPath);
  const model = ownNames.includes(name) ? "model.gguf" : name;
  Deno.symlinkSync(options.modelPath, `${path}/${model}`);
  if (options.tls) {
    Deno.writeTextFileSync(`${path}/${tlsFileNames.cert}`, options.tls.cert, { mode: 0o600 });
    Deno.writeTextFileSync(`${path}/${tlsFileNames.key}`, options.tls.key, { mode: 0o600 });
  }
  return {
    path,
    model: `./${model}`,
    claim: (pid) => Deno.writeTextFileSync(`${path}/${pidFile}`, `${pid}\n`, { mode: 0o600 }),
    remove: () => removeFolder(path),
  };
}

function removeFolder(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch {
    // gone already, or it will be removed when the next hive starts
  }
}

/** Removes the folders that workers of a killed hive left behind. Returns how many; a living worker keeps its own. */
export function sweepWorkerFolders(root: string): number {
  let removed = 0;
  for (const { id, path, pid } of workerFolders(root)) {
    if (isWorker(pid, id)) continue;
    removeFolder(path);
    removed++;
  }
  return removed;
}

/** A number is given anew after a while: the process must be that very worker, whose command line holds its id. */
function isWorker(pid: number, id: string): boolean {
  if (pid <= 0 || !isAlive(pid)) return false;
  return readKernelFile(`/proc/${pid}/cmdline`)?.includes(id) ?? true;
}
