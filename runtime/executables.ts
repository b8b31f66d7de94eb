/**
 * How one rbee program starts another: beside itself as an executable, or by Deno from the same checkout.
 *
 * @module
 */
import { dirname, fromFileUrl, join } from "./path.ts";
import { isFile } from "./files.ts";
import { environment } from "./environment.ts";
import { IS_COMPILED } from "./version.ts";

/** The programs, as their users know them. */
export type ProgramName = "rbee-keeper" | "queen-rbee" | "rbee-hive" | "llm-worker-rbee";

/** What to run, and the PATH it needs: permissions to run are resolved through it at the program's start. */
export interface ProgramCommand {
  readonly exe: string;
  readonly args: string[];
  readonly path: string;
}

const folders: Readonly<Record<ProgramName, string>> = {
  "rbee-keeper": "keeper",
  "queen-rbee": "queen",
  "rbee-hive": "hive",
  "llm-worker-rbee": "worker",
};

/** Asked once, at the start: when an upgrade replaces the file of a running daemon, its own name is `… (deleted)`. */
const ownFolder = dirname(realPath(Deno.execPath()));

function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    return path; // without permission to read it (the worker, who starts nothing)
  }
}

/** Returns the folder of this program's executable, by its real path; from source, Deno's own. */
export function executableFolder(): string {
  return ownFolder;
}

/** Returns the command that starts `program` of this very build. `executable` may name a variant of the worker. */
export function programCommand(program: ProgramName, executable: string = program): ProgramCommand {
  const folder = executableFolder();
  const path = [folder, ...(environment("PATH") ?? "/usr/bin:/bin").split(":").filter((p) => p !== folder)].join(":");
  if (IS_COMPILED) return { exe: join(folder, executable), args: [], path };
  const member = folders[program];
  const root = fromFileUrl(new URL("..", import.meta.url));
  const args = ["run", "--quiet", "--no-check", "--no-prompt", "--config", join(root, "deno.json"), `-P=${member}`];
  // In a named set `.` means the checkout; on the command line it is the child's own folder, where its model lies. A flag
  // replaces the set's whole list, hence the rest of it again.
  if (program === "llm-worker-rbee") args.push(`--allow-read=.,${root},/lib,/lib64,/usr/lib`);
  return { exe: join(folder, "deno"), args: [...args, join(root, member, "main.ts")], path };
}

/** Whether the file that `programCommand` names is there. */
export function isInstalled(command: ProgramCommand): boolean {
  return isFile(command.exe);
}
