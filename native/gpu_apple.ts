/**
 * Apple GPUs: they share the machine's memory, of which macOS lets Metal use a part.
 *
 * @module
 */
import type { Gpu } from "../protocol/node.ts";
import { type GpuProbe, outputOf } from "./gpu_probe.ts";
import { sysctlNumber } from "./libc.ts";
import type { MachineMemory } from "./memory.ts";

const gib = 1024 ** 3;
/** Up to here macOS grants less: 10922.67 MB of 16 GB, 21845.34 of 32 (abetlen/llama-cpp-python#687, ollama#434). */
const smallMachineBytes = 36 * gib;

/**
 * Returns the bytes that Metal may use of `totalBytes` (`recommendedMaxWorkingSetSize`): what `iogpu.wired_limit_mb`
 * says where the owner has set it, otherwise two thirds of a small machine and three quarters of a large one (73728 MB
 * of 96 GB, llama.cpp#3213). Newer systems grant somewhat more; too little is refused in time, too much crashes.
 */
export function metalBytes(totalBytes: number, wiredLimitMb = 0): number {
  if (wiredLimitMb > 0) return Math.min(totalBytes, wiredLimitMb * 1024 * 1024);
  return Math.floor(totalBytes <= smallMachineBytes ? totalBytes * 2 / 3 : totalBytes * 3 / 4);
}

interface ProfiledDisplay {
  sppci_model?: string;
  _name?: string;
  spdisplays_vendor?: string;
  sppci_device_type?: string;
  sppci_cores?: string;
}

/** Returns the names of the Apple GPUs in the text of `system_profiler SPDisplaysDataType -json`. */
export function parseSystemProfiler(json: string): string[] {
  let displays: ProfiledDisplay[];
  try {
    displays = JSON.parse(json).SPDisplaysDataType ?? [];
  } catch {
    return [];
  }
  // Intel Macs list other vendors' GPUs, which the Metal backend of llama.cpp is not built for.
  return displays.filter((one) => one.spdisplays_vendor === "sppci_vendor_Apple")
    .map((one) => {
      const name = one.sppci_model ?? one._name ?? "Apple GPU";
      return one.sppci_cores ? `${name} (${one.sppci_cores} cores)` : name;
    });
}

/** Returns the Metal devices that these names and this memory amount to. */
export function appleGpusFrom(
  names: readonly string[],
  { memory, wiredLimitMb }: { memory: MachineMemory; wiredLimitMb?: number },
): Gpu[] {
  const total = metalBytes(memory.totalBytes, wiredLimitMb);
  return names.map((name, index) => ({
    backend: "metal",
    index,
    name,
    memory_total_bytes: total,
    memory_free_bytes: Math.min(total, memory.availableBytes),
  }));
}

/** Returns the Metal devices of this machine; none off macOS and on Intel Macs. */
export async function appleGpus(probe: GpuProbe): Promise<Gpu[]> {
  if (Deno.build.os !== "darwin") return [];
  const json = await outputOf(probe, "/usr/sbin/system_profiler", ["SPDisplaysDataType", "-json"]);
  const names = json === undefined ? [] : parseSystemProfiler(json);
  const memory = { ...probe.memory, totalBytes: sysctlNumber("hw.memsize") ?? probe.memory.totalBytes };
  return appleGpusFrom(names, { memory, wiredLimitMb: sysctlNumber("iogpu.wired_limit_mb") });
}
