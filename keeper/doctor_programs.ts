/**
 * Whether the other programs are there, start, and are of this very version.
 *
 * @module
 */
import { isInstalled, programCommand, type ProgramName } from "../runtime/executables.ts";
import { dirname } from "../runtime/path.ts";
import { runOnce } from "../runtime/process.ts";
import { VERSION, versionLine } from "../runtime/version.ts";
import type { Check } from "./doctor_check.ts";

const others: readonly ProgramName[] = ["queen-rbee", "rbee-hive", "llm-worker-rbee"];

/** Returns one check for each program. */
export async function checkPrograms(signal: AbortSignal): Promise<Check[]> {
  const me: Check = { name: "rbee-keeper", ok: true, essential: true, text: versionLine("rbee-keeper") };
  return [me, ...await Promise.all(others.map((program) => checkProgram(program, signal)))];
}

async function checkProgram(program: ProgramName, signal: AbortSignal): Promise<Check> {
  const command = programCommand(program);
  const bad = (text: string, fix: string): Check => ({ name: program, ok: false, essential: true, text, fix });
  if (!isInstalled(command)) {
    return bad(
      `is not in ${dirname(command.exe)}`,
      "Put the four programs into one folder; `deno task compile` makes them",
    );
  }
  const output = await runOnce(command.exe, [...command.args, "--version"], { signal });
  signal.throwIfAborted();
  const line = output?.stdout.trim() ?? "";
  if (output === undefined || output.code !== 0 || line === "") {
    const why = output?.stderr.trim().split("\n").at(-1);
    return bad(`does not start${why ? `: ${why}` : ""}`, `Run it by hand: ${command.exe} --version`);
  }
  const version = line.split(" ")[1];
  if (version === VERSION) return { name: program, ok: true, essential: true, text: line };
  return bad(`is version ${version}, this is ${VERSION}`, "Copy the four programs of one build into one folder");
}
