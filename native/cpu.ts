/**
 * How many processors this process may use, for the choice of threads: more threads than cores that are really ours cost
 * 10 to 1000 times the speed.
 *
 * @module
 */
import { cgroupFolders, parseCpuQuota } from "./cgroup.ts";
import { type KernelFiles, kernelFiles, sysctlNumber, withLibc } from "./libc.ts";

/** The processors that this process may use. */
export interface CpuFacts {
  readonly model?: string;
  /** At least 1; siblings of one core count once. */
  readonly physicalCores: number;
  /** At least 1; as the scheduler counts. */
  readonly threads: number;
  /** How many processors' time a control group grants us, for example 1.5; absent when it is not limited. */
  readonly quotaCores?: number;
}

/** One processor in /proc/cpuinfo. */
export interface Processor {
  readonly number: number;
  /** Equal for siblings of one physical core; absent on most ARM machines, which have no siblings. */
  readonly core?: string;
  readonly model?: string;
}

/** Returns the processors in the text of /proc/cpuinfo. */
export function parseCpuinfo(text: string): Processor[] {
  return text.split(/\n\s*\n/).flatMap((block) => {
    const value = (key: string) => block.match(new RegExp(`^${key}[ \\t]*: ?(.*)$`, "m"))?.[1].trim();
    const number = value("processor");
    if (number === undefined || !/^\d+$/.test(number)) return [];
    const core = value("core id");
    return [{
      number: Number(number),
      core: core === undefined ? undefined : `${value("physical id") ?? 0}/${core}`,
      model: value("model name"),
    }];
  });
}

/** Returns the numbers in a list as the kernel writes it: `0-3,8`. */
export function parseCpuList(text: string): number[] {
  return text.trim().split(",").flatMap((range) => {
    const found = range.match(/^(\d+)(?:-(\d+))?$/);
    if (!found) return [];
    const first = Number(found[1]), last = Number(found[2] ?? found[1]);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
  });
}

/** Returns what the processors amount to; only those in `allowed` count, all of them when it is absent or empty. */
export function countCores(processors: readonly Processor[], allowed?: readonly number[]): CpuFacts | undefined {
  const ours = allowed?.length ? processors.filter((one) => allowed.includes(one.number)) : processors;
  if (ours.length === 0) return undefined;
  const cores = new Set(ours.map((one) => one.core ?? `processor ${one.number}`));
  return { model: ours[0].model, physicalCores: cores.size, threads: ours.length };
}

/** Returns how many processors' time the tightest control group of this process grants, or undefined. */
export function cpuQuota(files: KernelFiles): number | undefined {
  const found = cgroupFolders(files.read("/proc/self/cgroup") ?? "", "cpu");
  const quotas = found?.folders.map((folder) => {
    if (found.version === 1) {
      return parseCpuQuota(files.read(`${folder}/cpu.cfs_quota_us`), files.read(`${folder}/cpu.cfs_period_us`));
    }
    const [quota, period] = (files.read(`${folder}/cpu.max`) ?? "").trim().split(" ");
    return parseCpuQuota(quota, period);
  }).filter((quota) => quota !== undefined);
  return quotas?.length ? Math.min(...quotas) : undefined;
}

/** Returns the processors that this process may use. */
export function cpuFacts(files: KernelFiles = kernelFiles): CpuFacts {
  return withLibc(() => {
    const allowed = files.read("/proc/self/status")?.match(/^Cpus_allowed_list:\s*(\S+)$/m)?.[1] ?? "";
    const counted = countCores(parseCpuinfo(files.read("/proc/cpuinfo") ?? ""), parseCpuList(allowed));
    return { ...(counted ?? countElsewhere()), quotaCores: cpuQuota(files) };
  });
}

/** On Apple silicon the fast cores only: one slow core among them makes every step wait for it. */
function countElsewhere(): CpuFacts {
  const threads = Math.max(1, navigator.hardwareConcurrency);
  return {
    physicalCores: sysctlNumber("hw.perflevel0.physicalcpu") ?? sysctlNumber("hw.physicalcpu") ?? threads,
    threads,
  };
}
