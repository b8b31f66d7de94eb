/**
 * The one folder that a worker may read: made for it, with links to its model's files, and removed after it.
 *
 * @module
 */
import { readKernelFile } from "../native/libc.ts";
import { workerFolders, workerPidFile as pidFile } from "../runtime/leftovers.ts";
import { isAlive } from "../runtime/other_process.ts";
import { tlsFileNames, type TlsFiles } from "../runtime/serve.ts";

/** One file of a model: what it is to be called, and where it lies. */
export interface LinkedFile {
  readonly name: string;
  readonly path: string;
}

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
 * Makes `$RBEE_HOME/workers/<id>/` (0700) with symlinks to the model's files, the first of which is the model's name there, and with the certificate and key (0600) that the
 * hive uses now: its files may be replaced while workers run. Throws what the file system throws.
 */
export function makeWorkerFolder(
  root: string,
  options: { id: string; modelFiles: readonly LinkedFile[]; tls?: TlsFiles },
): WorkerFolder {
  const folder = `${root}/${options.id}`;
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  Deno.chmodSync(folder, 0o700);
  const path = Deno.realPathSync(folder);
  // The files of a split model find each other by their names.
  const names = options.modelFiles.map(({ name }) => ownNames.includes(name) ? "model.gguf" : name);
  options.modelFiles.forEach((file, at) => Deno.symlinkSync(file.path, `${path}/${names[at]}`));
  if (options.tls) {
    Deno.writeTextFileSync(`${path}/${tlsFileNames.cert}`, options.tls.cert, { mode: 0o600 });
    Deno.writeTextFileSync(`${path}/${tlsFileNames.key}`, options.tls.key, { mode: 0o600 });
  }
  return {
    path,
    model: `./${names[0]}`,
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
