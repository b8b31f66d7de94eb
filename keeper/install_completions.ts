/**
 * The completion files of an installation.
 *
 * @module
 */
import { dirname } from "../runtime/path.ts";
import { completionScript } from "./completion.ts";
import { writeError } from "./install_errors.ts";
import { makeFolder } from "./install_folders.ts";
import type { Places, Shell } from "./install_places.ts";
import type { State } from "./install_programs.ts";

/** One shell's file. `foreign`: another one is there, and stays. */
export interface Completion {
  readonly shell: Shell;
  readonly file: string;
  readonly state: State | "foreign";
}

/** Every script of ours asks the program itself, and nobody else's does. */
const mark = "__complete";

/** Writes the files and returns what was done. Throws `DISK_FULL`, `HOME_NOT_WRITABLE`. */
export async function writeCompletions({ completions, system }: Places): Promise<Completion[]> {
  const done: Completion[] = [];
  for (const [shell, file] of Object.entries(completions) as [Shell, string][]) {
    const text = completionScript(shell);
    const before = await Deno.readTextFile(file).catch(() => undefined);
    const state = before === undefined
      ? "new"
      : before === text
      ? "kept"
      : before.includes(mark)
      ? "replaced"
      : "foreign";
    if (state === "new" || state === "replaced") await write(file, text, system);
    done.push({ shell, file, state });
  }
  return done;
}

async function write(file: string, text: string, forAll: boolean): Promise<void> {
  await makeFolder(dirname(file), forAll);
  try {
    await Deno.writeTextFile(file, text, { mode: 0o644 });
  } catch (error) {
    throw writeError(error, file);
  }
}

/** Removes those of ours and returns their paths. */
export async function removeCompletions({ completions }: Places): Promise<string[]> {
  const removed: string[] = [];
  for (const file of Object.values(completions)) {
    if (!(await Deno.readTextFile(file).catch(() => "")).includes(mark)) continue;
    await Deno.remove(file);
    removed.push(file);
  }
  return removed;
}
