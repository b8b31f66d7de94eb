/**
 * What an installation leaves behind on purpose: configuration, data and models.
 *
 * @module
 */
import { dirname, join } from "../runtime/path.ts";
import type { Paths } from "../runtime/paths.ts";
import { writeError } from "./install_errors.ts";
import type { Places } from "./install_places.ts";

/** What rbee makes in its data folder. In one that RBEE_HOME names may lie anything else besides. */
const ours = /^(beehives\.db|models\.db|queen\.|hive\.|(calibration|speeds)\.json$|logs$|workers$|partial$|models$)/;

/** Returns what is there of configuration, data and models. */
export function dataOf(paths: Paths, places: Places): string[] {
  const all = places.system ? [places.configFile, places.models] : [places.configFile, paths.home, places.models];
  return [...new Set(all)].filter((path) => isThere(path));
}

/** Returns the paths that lie in none of the others: what `rm -r` needs to be told. */
export function outermost(all: readonly string[]): string[] {
  return all.filter((path) => !all.some((other) => path.startsWith(`${other}/`)));
}

/** Removes them, and the folders that are empty then. Returns what was removed. Throws `HOME_NOT_WRITABLE`. */
export async function purge(paths: Paths, places: Places): Promise<string[]> {
  const removed: string[] = [];
  for (const path of dataOf(paths, places)) {
    try {
      if (path === paths.home) await removeHome(path);
      else await Deno.remove(path, { recursive: true });
    } catch (error) {
      // With RBEE_HOME the models lie in the data folder, and went with it.
      if (!(error instanceof Deno.errors.NotFound)) throw writeError(error, path);
    }
    if (!isThere(path)) removed.push(path);
  }
  // `~/.config/rbee`, `~/.local/share/rbee`: only when nothing of anybody's is left in them.
  for (const folder of [dirname(places.configFile), dirname(places.models)]) await Deno.remove(folder).catch(() => {});
  return removed;
}

async function removeHome(home: string): Promise<void> {
  for (const { name } of await Array.fromAsync(Deno.readDir(home))) {
    if (ours.test(name)) await Deno.remove(join(home, name), { recursive: true });
  }
  await Deno.remove(home).catch(() => {}); // something that rbee does not know lies there: it stays
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
