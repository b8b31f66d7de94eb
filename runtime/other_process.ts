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
  return stat === undefined || !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
}

/**
 * Returns whether the process runs that program: numbers are given anew after a restart of the machine. Undefined where
 * the system does not say (not Linux).
 */
export function runsProgram(pid: number, program: "queen-rbee" | "rbee-hive"): boolean | undefined {
  const text = readKernelFile(`/proc/${pid}/cmdline`);
  if (text === undefined) return isAlive(pid) ? undefined : false;
  const folder = program === "queen-rbee" ? "queen" : "hive";
  return text.split("\0").some((word) => word.endsWith(`/${program}`) || word.endsWith(`/${folder}/main.ts`));
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
