/**
 * How much memory a worker will take, from what is known of its model before it is loaded. Pure: queen and hive both
 * reckon with it, she with what machines showed last, the hive with what is free now.
 *
 * What it is held against is the resident memory of the worker's process once it has loaded and answered (VmRSS: program,
 * mapped weights, KV cache, buffers), and on a GPU what the device has less than before. On a CPU the formulas were
 * fitted to that and are tested (`tests/acceptance/memory_is_as_foretold_test.ts`); of GPUs they follow llama.cpp's own
 * sizes of its buffers, and the rest is a guess on the safe side.
 *
 * @module
 */
import { limits } from "./limits.ts";
import type { ModelShape } from "./model.ts";
import type { Backend } from "./node.ts";

/** What is known of a model: `ModelFacts` is one of these. */
export interface KnownModel {
  readonly size_bytes: number;
  readonly shape: ModelShape | null;
}

/** How it is to be loaded. */
export interface LoadWish {
  readonly backend: Backend;
  readonly slots: number;
  /** Upper bound of a slot's context in tokens; absent: what the model was trained for. */
  readonly ctx?: number;
  /** Layers on the GPU, the output counting as one more; absent: all. */
  readonly gpuLayers?: number;
}

/** What a worker will take, in bytes. */
export interface MemoryNeed {
  readonly totalBytes: number;
  /** Of the machine's memory. */
  readonly hostBytes: number;
  /** Of the GPU's; 0 on a CPU. */
  readonly deviceBytes: number;
  /** The part of `hostBytes` that are weights mapped from the file: systems call it free although it is used. */
  readonly mappedBytes: number;
  /** The part of both that grows with the context: KV cache and what is computed with. */
  readonly contextBytes: number;
}

const mebibyte = 1024 * 1024;
/** Keys and values are kept as 16-bit numbers, all else is computed with 32 bits. */
const kvBytes = 2;
const floatBytes = 4;
/** llama.cpp makes contexts a multiple of this. */
const contextStep = 256;
/** A worker before its model, with its libraries. */
const programBytes = 135 * mebibyte;
/** Each word stands in llama.cpp's vocabulary, in its library's copy of the header and in the table of pieces. */
const wordBytes = 1_000;
/** What a driver takes for a process that uses it. */
const driverBytes: Readonly<Record<Backend, number>> = {
  cpu: 0,
  cuda: 450 * mebibyte,
  rocm: 450 * mebibyte,
  vulkan: 150 * mebibyte,
  metal: 50 * mebibyte,
};
/** The tokens of context when neither the file nor the caller says. */
const contextUnknown = 4_096;
/** Below this a context that nobody asked for is not halved any more: it would be of little use. */
const contextWantedMin = 4_096;

/** Returns the rule of S23 and S24 in whole bytes: below this no estimate goes. */
export function memoryFloor(sizeBytes: number): number {
  // Rounded: 1.2 is no binary number, and 5000 MB must need 6000 MB and not 6000.000001.
  return Math.round(sizeBytes * limits.memoryFactor);
}

/** Returns the tokens of a slot's context: what was asked for, at most what the model was trained for. */
export function contextTokens(shape: ModelShape | null, ctx?: number): number {
  const trained = shape?.context_length || (ctx ?? contextUnknown);
  return Math.min(trained, ctx ?? Infinity);
}

/**
 * Returns the contexts to try, largest first. One that was asked for stays as it is; the model's own may be halved, as
 * the worker itself does.
 */
export function contextChoices(shape: ModelShape | null, ctx?: number): number[] {
  const choices = [contextTokens(shape, ctx)];
  if (ctx !== undefined) return choices;
  for (let size = choices[0]; size / 2 >= contextWantedMin;) choices.push(size = Math.ceil(size / 2));
  return choices;
}

/** Returns what the worker will take. */
export function memoryNeed(model: KnownModel, wish: LoadWish): MemoryNeed {
  const floor = memoryFloor(model.size_bytes);
  const parts = model.shape ? partsOf(model.shape, wish) : partsOfUnknown(model.size_bytes, wish);
  const { hostBytes, deviceBytes, deviceShare, mappedBytes, contextBytes } = parts;
  const host = Math.max(hostBytes, Math.round(floor * (1 - deviceShare)));
  const device = Math.max(deviceBytes, Math.round(floor * deviceShare));
  return { totalBytes: host + device, hostBytes: host, deviceBytes: device, mappedBytes, contextBytes };
}

interface Parts extends Omit<MemoryNeed, "totalBytes"> {
  /** Which share of the weights lies on the GPU, from 0 to 1. */
  readonly deviceShare: number;
}

function partsOfUnknown(sizeBytes: number, { backend, gpuLayers }: LoadWish): Parts {
  const onDevice = backend !== "cpu" && gpuLayers !== 0;
  return {
    hostBytes: programBytes + (onDevice ? 0 : sizeBytes),
    deviceBytes: onDevice ? sizeBytes + driverBytes[backend] : 0,
    deviceShare: onDevice ? 1 : 0,
    mappedBytes: onDevice ? 0 : sizeBytes,
    contextBytes: 0,
  };
}

function partsOf(shape: ModelShape, wish: LoadWish): Parts {
  const share = layerShare(shape, wish);
  const { layer_bytes: layers, other_bytes: others } = shape;
  const kv = keysAndValues(shape, wish);
  const compute = computeBytes(shape, wish);
  const words = shape.vocab_size * wordBytes;
  if (share === 0) {
    // A GPU that holds no layer is still used for large prompts, and its driver is there.
    const device = wish.backend === "cpu" ? 0 : driverBytes[wish.backend] + compute;
    return {
      hostBytes: programBytes + words + layers + others + kv + compute,
      deviceBytes: device,
      deviceShare: 0,
      mappedBytes: layers + others,
      contextBytes: kv + compute,
    };
  }
  // The words' vectors stay with the host, where they are looked up; the output is often the same tensor, and goes.
  const mapped = layers * (1 - share) + others;
  const isPartial = share < 1;
  return {
    hostBytes: Math.round(programBytes + words + mapped + kv * (1 - share) + (isPartial ? compute : 0)),
    deviceBytes: Math.round(layers * share + others + kv * share + compute + driverBytes[wish.backend]),
    deviceShare: isPartial ? (layers * share + others) / (layers + others || 1) : 1,
    mappedBytes: Math.round(mapped),
    contextBytes: kv + compute,
  };
}

function layerShare({ layers }: ModelShape, { backend, gpuLayers = Infinity }: LoadWish): number {
  if (backend === "cpu") return 0;
  return layers === 0 ? Number(gpuLayers > 0) : Math.min(1, gpuLayers / layers);
}

const paddedContext = (shape: ModelShape, ctx?: number) =>
  Math.ceil(contextTokens(shape, ctx) / contextStep) * contextStep;

function keysAndValues(shape: ModelShape, { ctx, slots }: LoadWish): number {
  // 64 bytes more: what llama.cpp notes of each position besides.
  const perToken = shape.kv_elements_per_token * kvBytes + 64;
  return perToken * paddedContext(shape, ctx) * slots;
}

/**
 * The buffer in which one batch is computed; the largest step decides. Without flash attention, on CPUs, that is the
 * matrix of each head over the whole context, otherwise the chances of all words.
 */
function computeBytes(shape: ModelShape, { backend, ctx, slots }: LoadWish): number {
  const isCpu = backend === "cpu";
  const batch = Math.max(isCpu ? limits.cpuBatchTokensMax : limits.batchTokensMax, slots);
  const { vocab_size: words, embedding_length: width, feed_forward_length: inner, head_count: heads } = shape;
  const context = paddedContext(shape, ctx);
  const output = words + 2 * width;
  const attention = (isCpu ? heads * context : 0) + context + 6 * width;
  const forward = 3 * inner + 4 * width;
  return batch * floatBytes * Math.max(output, attention, forward);
}
