/**
 * How fast a machine is expected to compute with a model: what was measured there on models of about that size, else
 * what machines of that kind usually do. Pure.
 *
 * @module
 */
import { type NodeSpeed, sizeClass } from "../protocol/hive_status.ts";
import type { Backend } from "../protocol/node.ts";

/** Tokens per second of one stream that has the device for itself. */
export interface Speed {
  readonly prefill: number;
  readonly decode: number;
  readonly isMeasured: boolean;
}

/** What nobody has measured yet: bytes of weights that pass by in a second, and prompt tokens for each token written. */
const usual: Readonly<Record<Backend, { bytes: number; prefill: number }>> = Object.freeze({
  cpu: { bytes: 15e9, prefill: 4 },
  cuda: { bytes: 300e9, prefill: 20 },
  rocm: { bytes: 250e9, prefill: 15 },
  metal: { bytes: 100e9, prefill: 10 },
  vulkan: { bytes: 120e9, prefill: 10 },
});

/** No model writes faster, however small. */
const decodeMax = 500;
/** Of a model of which no size is known. */
const usualModelBytes = 500e6;
/** How far a class may be from the model's to say anything: a tiny model's time is that of everything but its weights. */
const classesAwayMax = 4;
/** What one class of sizes stands for: the middle between its power of two and the next. */
const middle = 1.5;

/**
 * Returns the speed of a model of that size on a device. A measured class that is the nearest one is scaled: twice the
 * weights take twice as long.
 */
export function speedOf(
  speeds: readonly NodeSpeed[] | undefined,
  where: { backend: Backend; device: number },
  sizeBytes: number | undefined,
): Speed {
  const size = sizeBytes || usualModelBytes;
  const wanted = sizeClass(size);
  let nearest: NodeSpeed | undefined;
  for (const speed of speeds ?? []) {
    if (speed.backend !== where.backend || speed.device !== where.device || !(speed.decode_tokens_per_second > 0)) {
      continue;
    }
    if (Math.abs(speed.size_class - wanted) > classesAwayMax) continue;
    if (!nearest || Math.abs(speed.size_class - wanted) < Math.abs(nearest.size_class - wanted)) nearest = speed;
  }
  if (!nearest) {
    const decode = Math.min(decodeMax, usual[where.backend].bytes / size);
    return { decode, prefill: decode * usual[where.backend].prefill, isMeasured: false };
  }
  const scale = nearest.size_class === wanted ? 1 : middle * 2 ** nearest.size_class / size;
  const decode = nearest.decode_tokens_per_second * scale;
  const prefill = nearest.prefill_tokens_per_second > 0
    ? nearest.prefill_tokens_per_second * scale
    : decode * usual[where.backend].prefill;
  return { decode, prefill, isMeasured: true };
}
