/**
 * What every vendor's detection is given: a way to run short commands, kernel files, and the machine's own memory for
 * devices that share it.
 *
 * @module
 */
import type { KernelFiles } from "./libc.ts";
import type { MachineMemory } from "./memory.ts";

/**
 * Runs a short command to its end, without a shell. Resolves with what it gave, or with undefined when the program is
 * missing. `runOnce` of the runtime is one.
 */
export type Run = (
  exe: string,
  args: string[],
  options: { signal?: AbortSignal },
) => Promise<{ readonly code: number; readonly stdout: string } | undefined>;

/** What a vendor's detection may ask. */
export interface GpuProbe {
  readonly run: Run;
  readonly files: KernelFiles;
  /** Of the whole machine: what a device without memory of its own draws on. */
  readonly memory: MachineMemory;
  readonly signal?: AbortSignal;
}

/** Returns the output of a command, or undefined when it is missing or failed. */
export async function outputOf(probe: GpuProbe, exe: string, args: string[]): Promise<string | undefined> {
  const output = await probe.run(exe, args, { signal: probe.signal });
  return output?.code === 0 ? output.stdout : undefined;
}
