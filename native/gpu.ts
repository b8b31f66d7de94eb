/**
 * The GPUs of this machine: asks each vendor at once and puts the answers together. The same card stands once under each
 * backend that can use it. An empty list means that the CPU, which is always there, is all there is.
 *
 * @module
 */
import type { Gpu } from "../protocol/node.ts";
import { drmCards, readAmdCards, rocmGpus } from "./gpu_amd.ts";
import { appleGpus } from "./gpu_apple.ts";
import { nvidiaGpus } from "./gpu_nvidia.ts";
import type { GpuProbe, Run } from "./gpu_probe.ts";
import { vulkanGpus } from "./gpu_vulkan.ts";
import { type KernelFiles, kernelFiles, withLibc } from "./libc.ts";
import { machineMemory } from "./memory.ts";

export type { Run } from "./gpu_probe.ts";

/** What `detectGpus` may use. */
export interface DetectOptions {
  /** Runs nvidia-smi, rocm-smi, vulkaninfo, system_profiler where they are needed. */
  readonly run: Run;
  readonly signal?: AbortSignal;
  /** Another tree than this machine's /proc and /sys. */
  readonly files?: KernelFiles;
}

/**
 * Returns the GPUs of this machine, each backend's numbered from 0, memory in bytes (0: not known). A vendor that cannot
 * be asked has none; throws only the signal's reason.
 */
export async function detectGpus({ run, signal, files = kernelFiles }: DetectOptions): Promise<Gpu[]> {
  signal?.throwIfAborted();
  const { memory, drm, amd } = withLibc(() => ({
    memory: machineMemory(files),
    drm: drmCards(files),
    amd: readAmdCards(files),
  }));
  const probe: GpuProbe = { run, files, memory, signal };
  const nvidia = nvidiaGpus(probe).catch(none);
  const answers = await Promise.all([
    nvidia,
    rocmGpus(probe, amd).catch(none),
    appleGpus(probe).catch(none),
    nvidia.then((gpus) => vulkanGpus(probe, { nvidia: gpus, amd, drm })).catch(none),
  ]);
  signal?.throwIfAborted();
  return answers.flat();
}

/** A probe that breaks must not cost the machine its other devices, or its CPU. */
function none(): Gpu[] {
  return [];
}
