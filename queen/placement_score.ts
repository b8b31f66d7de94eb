/**
 * How good a place is for a task: the seconds until its answer is expected to be whole, and a little for what else
 * counts. The smaller the time the higher the score. Pure.
 *
 * @module
 */
import { type Backend, localNodeName } from "../protocol/node.ts";
import type { Job, Known, NodeView, WorkerView } from "./known.ts";
import type { Fit } from "./placement_filters.ts";
import { tokensPerBlock } from "./prefixes.ts";
import { type Speed, speedOf } from "./speeds.ts";

/** What counts beside the expected seconds, in seconds. */
export const weights = Object.freeze({
  /** The prompt's tokens that a worker has seen count so often: their time is certain, that of the answer is a guess. */
  prefix: 2,
  /** How much longer everything takes for each other text that a worker writes: on a CPU, and on a GPU. */
  sharedCpu: 0.5,
  sharedGpu: 0.1,
  /** For each busy slot of a worker, so that of equals the emptiest is taken. */
  heldSlot: 0.01,
  /** For each worker of a machine that a new one would share it with. */
  neighbour: 0.1,
  /** For an idle worker that must end, beside the time that this takes. */
  eviction: 3,
  /** For a machine with no free memory, in proportion. */
  fullMemory: 0.05,
  /** Over the connection to another machine. */
  hop: 0.002,
  /** For a hive that must be started, one that is being started, and one that could not be had the last time. */
  hiveDown: 5,
  hiveStarting: 2,
  hiveFailed: 10_000,
  /** What every load takes, and bytes of weights that are read in a second. */
  load: 0.5,
  loadBytesPerSecond: 500e6,
});

/** What is expected of a place, in seconds. */
export interface Expected {
  /** Until the first token. */
  readonly firstToken: number;
  /** Until the whole answer. */
  readonly answer: number;
  readonly score: number;
  readonly speed: Speed;
}

/** Nothing is known of the task but what it wants. */
export const usualJob: Job = Object.freeze({ promptTokens: 64, answerTokens: 256 });

/** Returns what is expected of a worker that waits or has a free slot; `waitMs` until it has one. */
export function expectedOf(worker: WorkerView, job: Job, known: Known, waitMs = 0): Expected {
  const where = { backend: worker.backend ?? "cpu" as const, device: worker.device ?? 0 };
  const speed = speedOn(known.node(worker.node)?.speeds, where, known.facts(worker.model)?.size_bytes);
  const cached = job.blocks && job.blocks.length > 0
    ? Math.min(job.promptTokens, known.cachedBlocks(worker.id, job.blocks) * tokensPerBlock)
    : 0;
  const others = Math.min(worker.slotsHeld, worker.slotsTotal - 1);
  const slower = 1 + others * (where.backend === "cpu" ? weights.sharedCpu : weights.sharedGpu);
  const prefill = (job.promptTokens - cached) / speed.prefill * slower;
  const firstToken = waitMs / 1_000 + prefill + hop(worker.node);
  const answer = firstToken + job.answerTokens / speed.decode * slower;
  const extra = others * weights.heldSlot - (weights.prefix - 1) * cached / speed.prefill;
  return { firstToken, answer, score: -(answer + extra), speed };
}

interface LastSpeed {
  readonly backend: string;
  readonly device: number;
  readonly size: number | undefined;
  readonly speed: Speed;
}

/** The speed that was asked for last of each machine: it is asked for again and again. */
const lastSpeeds = new WeakMap<NonNullable<NodeView["speeds"]>, LastSpeed>();

function speedOn(
  from: NodeView["speeds"],
  where: { backend: Backend; device: number },
  size: number | undefined,
): Speed {
  if (!from) return speedOf(from, where, size);
  const last = lastSpeeds.get(from);
  if (last && last.backend === where.backend && last.device === where.device && last.size === size) return last.speed;
  const speed = speedOf(from, where, size);
  lastSpeeds.set(from, { ...where, size, speed });
  return speed;
}

/** Returns what is expected of a new worker. */
export function expectedOfNew(fit: Fit, job: Job, known: Known, sizeBytes: number | undefined): Expected {
  const { node, backend, device } = fit;
  const speed = speedOn(node.speeds, { backend, device }, sizeBytes);
  const firstToken = coldSeconds(fit, known, sizeBytes) + job.promptTokens / speed.prefill;
  const answer = firstToken + job.answerTokens / speed.decode;
  return { firstToken, answer, score: -(answer + extraOfNew(fit)), speed };
}

/** Seconds until a new worker could begin. */
function coldSeconds(fit: Fit, known: Known, sizeBytes: number | undefined): number {
  const { node } = fit;
  const hive = node.hive === "up" ? 0 : node.hive === "starting" ? weights.hiveStarting : weights.hiveDown;
  const evict = fit.evicts.length > 0 ? 1 : 0;
  const load = weights.load + (sizeBytes ?? 0) / weights.loadBytesPerSecond;
  return hive + evict + load + fit.downloadBytes / known.fetchBytesPerSecond + hop(node.name);
}

function extraOfNew(fit: Fit): number {
  const { node } = fit;
  const failed = node.hive !== "up" && node.error !== undefined ? weights.hiveFailed : 0;
  const total = node.machine?.memory_total_bytes ?? 0;
  const used = total > 0 ? 1 - node.machine!.memory_available_bytes / total : 0;
  return failed + fit.neighbours * weights.neighbour + fit.evicts.length * weights.eviction +
    used * weights.fullMemory;
}

const hop = (node: string): number => node === localNodeName ? 0 : weights.hop;

/** Equal enough that chance may choose: within a thousandth of a second. */
const equal = 0.000_9;

/** Returns the best of several; of equals the one that `tie` (0 to 1) falls on. Undefined of none. */
export function bestOf<T>(options: readonly T[], scoreOf: (option: T) => number, tie: number): T | undefined {
  let best = -Infinity;
  let equals: T[] = [];
  for (const option of options) {
    const score = scoreOf(option);
    if (score > best + equal) {
      best = score;
      equals = [option];
    } else if (score >= best - equal) equals.push(option);
  }
  return equals[Math.floor(tie * equals.length)];
}
