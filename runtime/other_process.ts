/**
 * A process that is not our child and known by its number alone: is it there, what is it, how to ask it to end.
 *
 * @module
 */
import nodeProcess from "node:process";
import { readKernelFile } from "../native/libc.ts";

/**
 * Returns whether a process of that number runs; one of another user counts as well. One that has ended and waits for
 * its parent to notice (a zombie) does not: in a container nobody may ever notice.
 */
export function isAlive(pid: number): boolean {
  try {
    nodeProcess.kill(pid, 0);
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
  const stat = readKernelFile(`/proc/${pid}/stat`);
  if (stat !== undefined) return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  // No such file: it went between the two questions, or this system has no such files at all.
  return readKernelFile("/proc/self/stat") === undefined;
}

const programFiles = { "queen-rbee": "queen", "rbee-hive": "hive" } as const;

/** Returns whether a command line, its words ended by NUL, is that program's. */
export function namesProgram(commandLine: string, program: keyof typeof programFiles): boolean {
  // A shell that found it through PATH passes its bare name, and from source its path is often a relative one.
  const name = new RegExp(`(^|/)(${program}|${programFiles[program]}/main\\.ts)$`);
  return commandLine.split("\0").some((word) => name.test(word));
}

/**
 * Returns whether the process runs that program: numbers are given anew after a restart of the machine. Undefined where
 * the system does not say (not Linux). Needs no permission but libc's, so the queen may ask as well.
 */
export function runsProgram(pid: number, program: keyof typeof programFiles): boolean | undefined {
  if (Deno.build.os !== "linux") return undefined;
  return namesProgram(readKernelFile(`/proc/${pid}/cmdline`) ?? "", program); // no such file: no such process
}

/** Returns the first word of a process's command line: its program's path, or its bare name. Undefined where nobody says. */
export function programPath(pid: number): string | undefined {
  return readKernelFile(`/proc/${pid}/cmdline`)?.split("\0")[0] || undefined;
}

/** Asks a process to end (SIGTERM) or ends it (SIGKILL). Returns whether it was there. */
export function endProcess(pid: number, signal: "SIGTERM" | "SIGKILL"): boolean {
  try {
    Deno.kill(pid, signal);
    return true;
  } catch {
    return false; // gone already
  }
}
