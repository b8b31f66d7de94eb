/**
 * Whether this machine can take a model, and on which device. Pure: what is known of the model, what the machine has and
 * what was wished go in; a place or a refusal with its numbers comes out.
 *
 * @module
 */
import { contextChoices, type KnownModel, type MemoryNeed, memoryNeed } from "../protocol/memory_need.ts";
import type { Backend, Gpu, Machine } from "../protocol/node.ts";
import { backendUnavailable, deviceNotAvailable, memoryShort } from "./preflight_errors.ts";
import { isUnified, machineLess, type MachineMemory, type Reservation } from "./reservations.ts";

/** What is to be placed where. */
export interface PreflightInput {
  /** Size of the model's file (S22), and what its header tells. */
  readonly model: KnownModel & { readonly quantization?: string | null };
  /** What the caller asked for; absent fields are chosen here. */
  readonly wish: PreflightWish;
  readonly machine: MachineMemory;
  /** Backends for which a worker executable is there; `cpu` always works. */
  readonly installed: ReadonlySet<Backend>;
  /** Memory that looks free and is spoken for. */
  readonly reserved?: readonly Reservation[];
}

/** What a caller can ask for. */
export interface PreflightWish {
  readonly backend?: Backend;
  readonly device?: number;
  /** 1 when absent. */
  readonly slots?: number;
  /** Tokens of a slot's context; one that was asked for is never lowered. */
  readonly ctx?: number;
  /** Layers on the GPU; never changed either. */
  readonly gpuLayers?: number;
}

/** Where the model goes. */
export interface Placement {
  readonly backend: Backend;
  readonly device: number;
  readonly gpuName?: string;
  /** Only where it is not the model's own or the wished one: lowered so that it fits. */
  readonly ctx?: number;
  /** Only where not the whole model goes to the GPU. */
  readonly gpuLayers?: number;
  readonly need: MemoryNeed;
}

/** Finds a place with what is not reserved, and promises it, in one step; throws what finding one throws. */
export type PromiseMemory = (place: (reserved: readonly Reservation[]) => Placement) => Placement;

/** How much of the memory that the weights leave a context may take that nobody asked for: as the worker sees it. */
const contextShareUnasked = 0.5;
/** A GPU that takes less than this share of the layers gains little over a CPU that can hold them all. */
const worthwhileShare = 0.25;

/**
 * Returns the place for the model. Throws `VRAM_EXHAUSTED` with both numbers in MB (1024 × 1024 bytes),
 * `BACKEND_UNAVAILABLE` or `DEVICE_NOT_AVAILABLE`.
 */
export function preflight(given: PreflightInput): Placement {
  const input = { ...given, machine: machineLess(given.machine, given.reserved ?? []) };
  const { backend, device } = input.wish;
  if (backend === undefined) return choose(input);
  if (backend === "cpu") {
    if (device) throw deviceNotAvailable("cpu", device, [0]);
    return wholeAt(input) ?? refuse(input, [undefined]);
  }
  const named = input.machine.gpus.filter((gpu) => gpu.backend === backend);
  if (named.length === 0) throw backendUnavailable(backend, input.machine.gpus);
  const wanted = device === undefined ? named : named.filter((gpu) => gpu.index === device);
  if (wanted.length === 0) throw deviceNotAvailable(backend, device ?? 0, named.map((gpu) => gpu.index));
  // With no index the roomiest device of that backend: the caller cares for the kind, not for the card.
  const [best] = roomiestFirst(wanted);
  return wholeAt(input, best) ?? partAt(input, best) ?? refuse(input, [best]);
}

function choose(input: PreflightInput): Placement {
  const { device, gpuLayers } = input.wish;
  const usable = gpuLayers === 0
    ? []
    : roomiestFirst(input.machine.gpus.filter((gpu) =>
      input.installed.has(gpu.backend) && gpu.memory_total_bytes > 0 && (device === undefined || gpu.index === device)
    ));
  for (const gpu of usable) {
    const whole = wholeAt(input, gpu);
    if (whole) return whole;
  }
  if (device !== undefined && device !== 0 && usable.length === 0) throw deviceNotAvailable("cpu", device, [0]);
  const part = usable.length > 0 ? partAt(input, usable[0]) : undefined;
  const onCpu = device ? undefined : wholeAt(input);
  const layers = input.model.shape?.layers ?? 0;
  if (part && (!onCpu || (part.gpuLayers ?? 0) >= layers * worthwhileShare)) return part;
  return onCpu ?? refuse(input, device ? usable : [undefined, ...usable]);
}

function roomiestFirst(gpus: readonly Gpu[]): Gpu[] {
  return gpus.toSorted((a, b) => b.memory_free_bytes - a.memory_free_bytes);
}

/** Returns the placement of the whole model on a GPU, or on the CPU; undefined when it does not fit. */
function wholeAt(input: PreflightInput, gpu?: Gpu): Placement | undefined {
  const { model: { shape }, wish } = input;
  const choices = contextChoices(shape, wish.ctx);
  for (const [index, ctx] of choices.entries()) {
    const need = needAt(input, gpu, { ctx });
    if (!fits(need, input.machine, gpu)) continue;
    const isRoomy = wish.ctx !== undefined || isContextModest(need, input.machine, gpu);
    if (!isRoomy && index < choices.length - 1) continue;
    return { ...placeOf(gpu), ...partWished(input, gpu), ...(isRoomy && index === 0 ? {} : { ctx }), need };
  }
  return undefined;
}

/** Returns the placement of as many layers as a GPU holds, the rest on the CPU; undefined when there are none. */
function partAt(input: PreflightInput, gpu: Gpu): Placement | undefined {
  const { model: { shape }, wish } = input;
  if (!shape || wish.gpuLayers !== undefined) return undefined;
  const ctx = contextChoices(shape, wish.ctx).at(-1);
  for (let gpuLayers = shape.layers; gpuLayers > 0; gpuLayers--) {
    const need = needAt(input, gpu, { ctx, gpuLayers });
    if (fits(need, input.machine, gpu)) {
      return { ...placeOf(gpu), gpuLayers, ...(wish.ctx === undefined && { ctx }), need };
    }
  }
  return undefined;
}

function placeOf(gpu: Gpu | undefined): Pick<Placement, "backend" | "device" | "gpuName"> {
  return gpu ? { backend: gpu.backend, device: gpu.index, gpuName: gpu.name } : { backend: "cpu", device: 0 };
}

/** All layers are said by saying nothing: to llama.cpp the output is one more. */
function partWished({ model, wish }: PreflightInput, gpu: Gpu | undefined): Pick<Placement, "gpuLayers"> {
  const { gpuLayers = Infinity } = wish;
  return gpu && gpuLayers < (model.shape?.layers ?? Infinity) ? { gpuLayers } : {};
}

function needAt(
  { model, wish }: PreflightInput,
  gpu: Gpu | undefined,
  how: { ctx?: number; gpuLayers?: number },
): MemoryNeed {
  const { slots = 1, gpuLayers } = wish;
  return memoryNeed(model, { backend: gpu?.backend ?? "cpu", slots, gpuLayers, ...how });
}

/** A total of 0 means that nothing tells how much there is: then loading has to find out. */
const freeOf = (total: number, free: number) => total === 0 && free === 0 ? Infinity : free;

/** Returns whether a need can be met. Memory that GPU and machine share is counted once. */
export function fits(need: MemoryNeed, machine: MachineMemory, gpu?: Gpu): boolean {
  return shortage(need, machine, gpu) === undefined;
}

/** Returns what is short first: how much is needed and how much there is; undefined when all is there. */
export function shortage(
  need: MemoryNeed,
  machine: MachineMemory,
  gpu?: Gpu,
): { requiredBytes: number; availableBytes: number } | undefined {
  const host = freeOf(machine.memory_total_bytes, machine.memory_available_bytes);
  const device = gpu ? freeOf(gpu.memory_total_bytes, gpu.memory_free_bytes) : Infinity;
  if (need.deviceBytes > device) return { requiredBytes: need.deviceBytes, availableBytes: device };
  const fromHost = gpu && isUnified(gpu, machine) ? need.totalBytes : need.hostBytes;
  return fromHost > host ? { requiredBytes: fromHost, availableBytes: host } : undefined;
}

function isContextModest(need: MemoryNeed, machine: Pick<Machine, keyof MachineMemory>, gpu?: Gpu): boolean {
  const isDevice = gpu !== undefined && need.deviceBytes > 0;
  const free = isDevice
    ? freeOf(gpu.memory_total_bytes, gpu.memory_free_bytes)
    : freeOf(machine.memory_total_bytes, machine.memory_available_bytes);
  const rest = (isDevice ? need.deviceBytes : need.hostBytes) - need.contextBytes;
  return need.contextBytes <= contextShareUnasked * (free - rest);
}

/** Throws the refusal of that one of the places which has most memory free; undefined among them is the CPU. */
function refuse(input: PreflightInput, places: readonly (Gpu | undefined)[]): never {
  const { model: { shape }, wish, machine } = input;
  const ctx = contextChoices(shape, wish.ctx).at(-1);
  const short = places.flatMap((gpu) => {
    const found = shortage(needAt(input, gpu, { ctx }), machine, gpu);
    return found ? [{ gpu, ...found }] : [];
  }).toSorted((a, b) => b.availableBytes - a.availableBytes);
  const { gpu, ...numbers } = short[0];
  throw memoryShort({
    ...numbers,
    ...placeOf(gpu),
    quantization: input.model.quantization,
    ctx: contextThatFits(input, gpu, ctx ?? 0),
    backends: elsewhere(input, gpu),
    reserved: (input.reserved ?? []).length > 0,
  });
}

/** Returns the largest context below `above` with which the model would fit there; undefined when none is of use. */
function contextThatFits(input: PreflightInput, gpu: Gpu | undefined, above: number): number | undefined {
  const step = 256;
  let [low, high] = [1, Math.ceil(above / step) - 1]; // in steps; the two useful ones at least
  const doFit = (steps: number) => fits(needAt(input, gpu, { ctx: steps * step }), input.machine, gpu);
  if (!input.model.shape || high < low || !doFit(low)) return undefined;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (doFit(middle)) low = middle;
    else high = middle - 1;
  }
  return low * step;
}

/** Returns the other backends on which the same wish would fit. */
function elsewhere(input: PreflightInput, not: Gpu | undefined): Backend[] {
  const { gpuLayers: _, ...wish } = input.wish;
  const free = { ...input, wish };
  const others = input.machine.gpus.filter((gpu) =>
    gpu.backend !== not?.backend && input.installed.has(gpu.backend) && wholeAt(free, gpu)
  ).map((gpu) => gpu.backend);
  return [...new Set<Backend>([...others, ...(not && wholeAt(free) ? ["cpu"] as const : [])])];
}
