/**
 * How much memory this machine has for us: the machine's own numbers, bounded by every control group above us, so that a
 * model is refused before the kernel kills the worker that loads it.
 *
 * @module
 */
import { cgroupFolders, parseCgroupBytes, parseCgroupStat } from "./cgroup.ts";
import { type KernelFiles, kernelFiles, readKernelFile, withLibc } from "./libc.ts";

/** Memory in bytes. */
export interface MachineMemory {
  readonly totalBytes: number;
  /** What can be had without swapping. */
  readonly availableBytes: number;
}

/** What one control group allows and holds. */
export interface CgroupMemory {
  readonly limitBytes: number;
  readonly currentBytes: number;
  /** Page cache: it counts as held, but the kernel gives it up when memory is wanted, as `MemAvailable` has it too. */
  readonly cacheBytes: number;
}

/** Returns total and available memory from the text of /proc/meminfo, or undefined when it is none. */
export function parseMeminfo(text: string): MachineMemory | undefined {
  const bytes = (key: string): number | undefined => {
    const found = text.match(new RegExp(`^\\s*${key}:\\s*(\\d+) kB`, "m"));
    return found ? Number(found[1]) * 1024 : undefined;
  };
  const totalBytes = bytes("MemTotal");
  if (totalBytes === undefined) return undefined;
  // Missing before Linux 3.14 and on WSL 1: what can be dropped at once comes near it.
  const estimate = (bytes("MemFree") ?? 0) + (bytes("Buffers") ?? 0) + (bytes("Cached") ?? 0) - (bytes("Shmem") ?? 0);
  const availableBytes = bytes("MemAvailable") ?? Math.max(0, estimate);
  return { totalBytes, availableBytes: Math.min(totalBytes, availableBytes) };
}

/** Returns the machine's memory as the groups leave it: the smallest total, the smallest rest. */
export function boundMemory(machine: MachineMemory, groups: readonly CgroupMemory[]): MachineMemory {
  let { totalBytes, availableBytes } = machine;
  for (const group of groups) {
    totalBytes = Math.min(totalBytes, group.limitBytes);
    const held = Math.max(0, group.currentBytes - group.cacheBytes);
    availableBytes = Math.min(availableBytes, Math.max(0, group.limitBytes - held));
  }
  return { totalBytes, availableBytes };
}

/** Returns what each control group of this process allows; those without a limit are left out. */
export function cgroupMemory(files: KernelFiles): CgroupMemory[] {
  const found = cgroupFolders(files.read("/proc/self/cgroup") ?? "", "memory");
  if (!found) return [];
  return found.folders.flatMap((folder) => {
    const bytes = (name: string) => parseCgroupBytes(files.read(`${folder}/${name}`));
    const limits = found.version === 2
      ? [bytes("memory.max"), bytes("memory.high")] // above `high` the kernel slows a group down to a crawl
      : [bytes("memory.limit_in_bytes")];
    const limitBytes = Math.min(...limits.filter((limit) => limit !== undefined));
    if (limitBytes === Infinity) return [];
    const [current, total] = found.version === 2 ? ["memory.current", ""] : ["memory.usage_in_bytes", "total_"];
    const stat = files.read(`${folder}/memory.stat`);
    const cacheBytes = parseCgroupStat(stat, `${total}inactive_file`) + parseCgroupStat(stat, `${total}active_file`);
    return [{ limitBytes, currentBytes: bytes(current) ?? 0, cacheBytes }];
  });
}

/**
 * Returns the memory that this process may count on, in bytes. Both are 0 when nothing tells (no permission at all).
 */
export function machineMemory(files: KernelFiles = kernelFiles): MachineMemory {
  return withLibc(() => {
    const machine = parseMeminfo(files.read("/proc/meminfo") ?? "") ?? memoryFromDeno();
    return boundMemory(machine, cgroupMemory(files));
  });
}

function memoryFromDeno(): MachineMemory {
  try {
    const { total, available } = Deno.systemMemoryInfo();
    return { totalBytes: total, availableBytes: Math.min(total, available) };
  } catch {
    return { totalBytes: 0, availableBytes: 0 }; // not permitted
  }
}

/** Returns the resident bytes in the text of /proc/PID/status, or undefined (kernel threads have none). */
export function parseResidentBytes(status: string): number | undefined {
  const found = status.match(/^VmRSS:\s*(\d+) kB/m);
  return found ? Number(found[1]) * 1024 : undefined;
}

/** What a process holds, in bytes. */
export interface ProcessMemory {
  /** What no file stands behind. */
  readonly anonymousBytes: number;
  /** Pages of files: the system counts them as cache. */
  readonly fileBytes: number;
}

/** Returns what the text of /proc/PID/status says, or undefined (kernels before 4.5 do not tell these apart). */
export function parseProcessMemory(status: string): ProcessMemory | undefined {
  const bytes = (key: string): number | undefined => {
    const found = status.match(new RegExp(`^${key}:\\s*(\\d+) kB`, "m"));
    return found ? Number(found[1]) * 1024 : undefined;
  };
  const [anonymousBytes, fileBytes] = [bytes("RssAnon"), bytes("RssFile")];
  return anonymousBytes === undefined || fileBytes === undefined ? undefined : { anonymousBytes, fileBytes };
}

/** Returns what a process holds, or undefined when it is gone or this system is not Linux. */
export function processMemory(pid: number): ProcessMemory | undefined {
  const status = Number.isInteger(pid) && pid > 0 ? readKernelFile(`/proc/${pid}/status`) : undefined;
  return status === undefined ? undefined : parseProcessMemory(status);
}

/** Returns the resident memory of a process in bytes, or undefined when it is gone or this system is not Linux. */
export function processMemoryBytes(pid: number): number | undefined {
  const status = Number.isInteger(pid) && pid > 0 ? readKernelFile(`/proc/${pid}/status`) : undefined;
  return status === undefined ? undefined : parseResidentBytes(status);
}
