/**
 * Folders that an installation makes.
 *
 * @module
 */
import { dirname } from "../runtime/path.ts";
import { writeError } from "./install_errors.ts";

/**
 * Makes a folder and those above it that are missing. `forAll`: everybody on the machine may read them, whatever the
 * umask of the one who installs. Throws `DISK_FULL`, `HOME_NOT_WRITABLE`.
 */
export async function makeFolder(path: string, forAll: boolean): Promise<void> {
  if (await Deno.stat(path).then((info) => info.isDirectory, () => false)) return;
  if (dirname(path) !== path) await makeFolder(dirname(path), forAll);
  try {
    await Deno.mkdir(path);
    if (forAll) await Deno.chmod(path, 0o755);
  } catch (error) {
    // Another installation may have made it meanwhile.
    if (await Deno.stat(path).then((info) => info.isDirectory, () => false)) return;
    throw writeError(error, path);
  }
}

/** Removes a folder that is empty now, and those above it that are; `stop` and what lies directly in it stay. */
export async function removeEmpty(folder: string, stop: string): Promise<void> {
  try {
    for (let at = folder; dirname(at) !== stop && at !== dirname(at); at = dirname(at)) await Deno.remove(at);
  } catch {
    // it is not empty: others use it
  }
}
