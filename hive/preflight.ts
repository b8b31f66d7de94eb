/**
 * Whether this machine can take a model, and on which device. Pure: what the model needs, what the machine has and what
 * was wished go in; a device or a refusal with its numbers comes out.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { type Backend, backendsOf, type Gpu, type Machine } from "../protocol/node.ts";

/** What is to be placed where. */
export interface PreflightInput {
  /** Size of the model's file (S22). */
  readonly modelBytes: number;
  /** What the caller asked for; absent fields are chosen here. */
  readonly wish: { readonly backend?: Backend; readonly device?: number };
  readonly machine: Pick<Machine, "memory_total_bytes" | "memory_available_bytes" | "gpus">;
  /** Backends for which a worker executable is there; `cpu` always works. */
  readonly installed: ReadonlySet<Backend>;
}

/** Where the model goes. */
export interface Placement {
  readonly backend: Backend;
  readonly device: number;
  readonly gpuName?: string;
}

const bytesPerMb = 1024 * 1024;

/** Returns how many bytes must be free for a model of that size: S23's factor, in whole bytes. */
export function memoryNeed(modelBytes: number): number {
  // Rounded first: 1.2 is no binary number, and 5000 MB must need 6000 MB and not 6000.000001.
  return Math.round(modelBytes * limits.memoryFactor);
}

/**
 * Returns the device for the model. Throws `VRAM_EXHAUSTED` with both numbers in MB (1024 × 1024 bytes),
 * `BACKEND_UNAVAILABLE` or `DEVICE_NOT_AVAILABLE`.
 */
export function preflight(input: PreflightInput): Placement {
  const { backend, device } = input.wish;
  if (backend === undefined) return choose(input);
  if (backend === "cpu") return onCpu(input, device);
  const named = input.machine.gpus.filter((gpu) => gpu.backend === backend);
  // With no index the roomiest device of that backend: the caller cares for the kind, not for the card.
  const found = device === undefined ? roomiest(named) : named.find((gpu) => gpu.index === device);
  if (found) return onGpu(input, found);
  if (named.length === 0) throw backendUnavailable(backend, input.machine.gpus);
  throw deviceNotAvailable(backend, device ?? 0, named.map((gpu) => gpu.index));
}

function choose(input: PreflightInput): Placement {
  const { device } = input.wish;
  const usable = input.machine.gpus.filter((gpu) =>
    input.installed.has(gpu.backend) && (device === undefined || gpu.index === device) &&
    gpu.memory_free_bytes >= memoryNeed(input.modelBytes)
  );
  const best = roomiest(usable);
  return best ? onGpu(input, best) : onCpu(input, device);
}

function roomiest(gpus: readonly Gpu[]): Gpu | undefined {
  return [...gpus].sort((a, b) => b.memory_free_bytes - a.memory_free_bytes)[0];
}

function onCpu(input: PreflightInput, device = 0): Placement {
  const { memory_total_bytes, memory_available_bytes } = input.machine;
  checkMemory(input.modelBytes, [memory_total_bytes, memory_available_bytes], { backend: "cpu", device });
  if (device !== 0) throw deviceNotAvailable("cpu", device, [0]);
  return { backend: "cpu", device: 0 };
}

function onGpu(input: PreflightInput, gpu: Gpu): Placement {
  const { memory_total_bytes, memory_free_bytes } = gpu;
  checkMemory(input.modelBytes, [memory_total_bytes, memory_free_bytes], { backend: gpu.backend, device: gpu.index });
  return { backend: gpu.backend, device: gpu.index, gpuName: gpu.name };
}

type Where = { backend: Backend; device: number };

function checkMemory(modelBytes: number, [total, free]: [total: number, free: number], where: Where): void {
  // A total of 0 means that nothing tells how much there is: then loading has to find out.
  if (total === 0 && free === 0) return;
  const need = memoryNeed(modelBytes);
  if (free >= need) return;
  const required = Math.ceil(need / bytesPerMb);
  const available = Math.floor(free / bytesPerMb);
  throw new RbeeError("VRAM_EXHAUSTED", {
    message: `Cannot load the model: need ${required} MB, have ${available} MB`,
    details: { required, available, ...where },
  });
}

function backendUnavailable(backend: Backend, gpus: readonly Gpu[]): RbeeError {
  const available = backendsOf(gpus).map((one) => one.name);
  return new RbeeError("BACKEND_UNAVAILABLE", {
    message: `Cannot use the backend ${backend}: there is only ${available.join(", ")}`,
    details: { backend, available },
    hint: `Use --backend ${available.join(" or --backend ")}, or leave --backend out`,
  });
}

function deviceNotAvailable(backend: Backend, device: number, available: number[]): RbeeError {
  return new RbeeError("DEVICE_NOT_AVAILABLE", {
    message: `Cannot use ${backend} device ${device}: there is only ${available.join(", ")}`,
    details: { backend, device, available },
  });
}
