/**
 * Chooses how many threads decode, by measuring: no rule of thumb is right. On two cores beside a busy neighbour two
 * threads can be ten to a thousand times slower than one, because each waits for the other at a barrier a thousand
 * times per token; on an idle machine of sixteen cores eight can be six times faster than one.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import type { Calibration } from "./engine.ts";
import type { ContextBinding } from "./llama_binding.ts";

/** What to measure on. */
export interface CalibrationOptions {
  readonly context: ContextBinding;
  /** Physical cores that this process may use. */
  readonly cores: number;
  readonly modelBytes: number;
  /** A token that is no control token; what it means does not matter. */
  readonly token: number;
  readonly signal: AbortSignal;
  /** The clock in milliseconds; tests bring their own. */
  readonly now?: () => number;
}

/** One candidate is measured for this long, unless the whole budget ends first. */
const candidateMs = 30;
/** A number whose first step takes this many times the best step is not measured further. */
const hopeless = 5;
const stepsMin = 2;
/** Fits every context. */
const positionsMax = 64;
/** What a second thread must bring to be worth a second core. */
const gainMin = 1.1;
/** A core reads weights at about 5 GB/s; one step should take less than 0.4 s, or few candidates fit the budget. */
const bytesPerThreadMax = 5e9 * 0.4;

/** Returns the chosen number and what each candidate reached; leaves sequence 0 empty. Throws the signal's reason. */
export async function calibrateThreads(options: CalibrationOptions): Promise<Calibration> {
  const { context, cores, modelBytes, signal, now = () => performance.now() } = options;
  const deadline = now() + limits.calibrationMs;
  const measured = new Map<number, number>();
  let position = 0;
  const step = async () => {
    signal.throwIfAborted();
    if (position === positionsMax) {
      context.disposeSequence(0);
      position = 0;
    }
    const start = now();
    context.initBatch(1);
    context.addToBatch(0, position++, Uint32Array.of(options.token), Uint32Array.of(0));
    await context.decodeBatch();
    return now() - start;
  };
  try {
    for (const threads of threadCandidates(cores, modelBytes)) {
      if (measured.size > 0 && now() > deadline) break;
      context.setThreads(threads);
      const best = Math.max(0, ...measured.values());
      measured.set(threads, await measure(step, { isOver: () => now() > deadline, best }));
    }
  } finally {
    context.disposeSequence(0);
  }
  const threads = chooseThreads(measured);
  const rates = [...measured].map(([count, rate]) => [String(count), Math.round(rate * 10) / 10]);
  return { threads, tokensPerSecond: Object.fromEntries(rates) };
}

/** Returns 1, 2, 4, … and the number of cores, without those that a large model makes hopelessly slow. */
export function threadCandidates(cores: number, modelBytes: number): number[] {
  const all: number[] = [];
  for (let threads = 1; threads < cores; threads *= 2) all.push(threads);
  all.push(Math.max(1, cores));
  const worth = all.filter((threads) => modelBytes / threads <= bytesPerThreadMax);
  return worth.length > 0 ? worth : all.slice(-1);
}

/** Returns the smallest number of threads that reaches the best rate, near enough. */
export function chooseThreads(tokensPerSecond: ReadonlyMap<number, number>): number {
  const best = Math.max(...tokensPerSecond.values());
  const enough = [...tokensPerSecond].filter(([, rate]) => rate * gainMin >= best).map(([threads]) => threads);
  return Math.min(...enough);
}

/** Returns tokens per second. The first step is not counted, unless it says enough: it pages in weights. */
async function measure(step: () => Promise<number>, { isOver, best }: { isOver: () => boolean; best: number }) {
  const first = await step();
  if (isOver() || first * best > 1000 * hopeless) return 1000 / first;
  let steps = 0;
  let spentMs = 0;
  while (spentMs < candidateMs || steps < stepsMin) {
    spentMs += await step();
    steps++;
    if (isOver()) break;
  }
  return steps * 1000 / spentMs;
}
