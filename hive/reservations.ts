/**
 * Memory that is spoken for although it still looks free: what workers that load will take, and the weights of those that
 * have loaded, which are mapped from a file and so count as cache. Without this, two workers started at once, or one after
 * the other, would both be promised the same memory.
 *
 * @module
 */
import type { MemoryNeed } from "../protocol/memory_need.ts";
import type { Backend, Gpu, Machine } from "../protocol/node.ts";

/** Memory that somebody has been promised. */
export interface Reservation {
  readonly hostBytes: number;
  readonly deviceBytes: number;
  readonly backend: Backend;
  readonly device: number;
}

/** A worker as its memory is concerned. */
export interface Holder {
  readonly need: MemoryNeed;
  readonly backend: Backend;
  readonly device: number;
  readonly isLoading: boolean;
  /** What its process holds now without mapped files, in bytes; 0 before it is started, or when nothing tells. */
  readonly heldBytes: number;
  /** What of mapped files it holds now, in bytes; absent when nothing tells. */
  readonly mappedBytes?: number;
  /** Which share of its model it has loaded, from 0 to 1. */
  readonly loadedShare: number;
}

/** Returns what is still to be kept for a worker. */
export function reservationOf(holder: Holder): Reservation {
  const { need, backend, device, isLoading, heldBytes, mappedBytes = Infinity, loadedShare } = holder;
  const hostBytes = isLoading ? Math.max(0, need.hostBytes - heldBytes) : Math.min(need.mappedBytes, mappedBytes);
  // Of the context nothing is there before the last weight is: only the share of the rest has gone to the device.
  const weights = Math.max(0, need.deviceBytes - need.contextBytes);
  const deviceBytes = isLoading ? need.deviceBytes - weights * Math.min(1, Math.max(0, loadedShare)) : 0;
  return { hostBytes, deviceBytes, backend, device };
}

/** What of a machine is compared with a need. */
export type MachineMemory = Pick<Machine, "memory_total_bytes" | "memory_available_bytes" | "gpus">;

/** Returns the machine as if the reserved memory were taken already. */
export function machineLess<M extends MachineMemory>(machine: M, reserved: readonly Reservation[]): M {
  if (reserved.length === 0) return machine;
  const host = reserved.reduce((sum, { hostBytes }) => sum + hostBytes, 0);
  const shared = reserved.reduce((sum, one) => {
    const gpu = machine.gpus.find((each) => each.backend === one.backend && each.index === one.device);
    return gpu && isUnified(gpu, machine) ? sum + one.deviceBytes : sum;
  }, 0);
  return {
    ...machine,
    memory_available_bytes: Math.max(0, machine.memory_available_bytes - host - shared),
    gpus: machine.gpus.map((gpu) => {
      const taken = reserved.reduce((sum, one) => sum + (isOn(one, gpu, machine.gpus) ? one.deviceBytes : 0), 0);
      const free = gpu.memory_free_bytes - taken - (isUnified(gpu, machine) ? host : 0);
      return { ...gpu, memory_free_bytes: Math.max(0, free) };
    }),
  };
}

/** Whether a GPU has no memory of its own: then it and the machine take from the same, which counts once. */
export function isUnified(gpu: Gpu, machine: Pick<Machine, "memory_total_bytes">): boolean {
  // Detection gives such a device the machine's own total.
  return gpu.backend === "metal" ||
    (gpu.memory_total_bytes > 0 && gpu.memory_total_bytes === machine.memory_total_bytes);
}

/** One card stands under each backend that can use it: its memory goes from all of them. */
function isOn({ backend, device }: Reservation, gpu: Gpu, all: readonly Gpu[]): boolean {
  if (gpu.backend === backend) return gpu.index === device;
  const named = all.find((one) => one.backend === backend && one.index === device);
  if (!named) return false;
  if (named.uuid !== undefined && gpu.uuid !== undefined) return named.uuid === gpu.uuid;
  return named.name === gpu.name && named.memory_total_bytes === gpu.memory_total_bytes;
}
