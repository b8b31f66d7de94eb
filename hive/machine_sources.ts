/**
 * The real figures of this machine, from the doors that `native` opens.
 *
 * @module
 */
import { detectGpus } from "../native/gpu.ts";
import { diskBytes, readKernelFile } from "../native/libc.ts";
import { machineMemory } from "../native/memory.ts";
import { runOnce } from "../runtime/process.ts";
import type { MachineSources } from "./machine.ts";
import { runProbe } from "./probe.ts";

/** Returns the sources for this machine; `probe` is the configured command, `folder` lies on the models' disk. */
export function machineSources(probe: readonly string[] | undefined, folder: string): MachineSources {
  return {
    gpus: () => detectGpus({ run: runOnce }),
    memory: () => machineMemory(),
    disk: () => diskBytes(folder),
    ...(probe && { probe: () => runProbe(probe) }),
  };
}

/** Returns how many processes the kernel has ended for want of memory since it started; undefined where it hides that. */
export function oomKills(): number | undefined {
  const found = readKernelFile("/proc/vmstat")?.match(/^oom_kill (\d+)$/m);
  return found ? Number(found[1]) : undefined;
}
