/**
 * What workers hold of their machine's memory, and how much of it the machine's figures do not show yet: a picture may be
 * older than the worker. Pure.
 *
 * @module
 */
import type { WorkerRecord, WorkerState } from "../protocol/worker.ts";
import type { Bytes, Held, Takes, WorkerView } from "./known.ts";
import { deviceName } from "./placement_memory.ts";

const mb = 1024 * 1024;

/** What a record's memory is judged by. */
export interface HeldInput {
  readonly before?: Held;
  /** What it was expected to take when it was started by us. */
  readonly takes?: Takes;
  /** The machine's figures of the same picture are new. */
  readonly isFresh: boolean;
  readonly state: WorkerState;
}

/** Returns what a worker holds; undefined when nobody knows. */
export function heldBy(record: WorkerRecord, { before, takes, isFresh, state }: HeldInput): Held | undefined {
  const now = { host: record.memory_bytes ?? 0, device: (record.vram_mb ?? 0) * mb };
  const isWhole = state !== "loading" && record.memory_bytes !== undefined;
  const most = isWhole
    ? now
    : { host: Math.max(now.host, takes?.host ?? 0), device: Math.max(now.device, takes?.device ?? 0) };
  if (most.host === 0 && most.device === 0) return undefined;
  // A hive shows as taken what it has promised to the workers that it shows.
  if (isFresh) return { ...most, unseen: nothing };
  const seen = shown(before);
  return {
    ...most,
    unseen: { host: Math.max(0, most.host - seen.host), device: Math.max(0, most.device - seen.device) },
  };
}

const nothing: Bytes = Object.freeze({ host: 0, device: 0 });

/** What of it the machine's figures show. */
function shown(held: Held | undefined): Bytes {
  return held
    ? { host: held.host - held.unseen.host, device: held.device - held.unseen.device }
    : { host: 0, device: 0 };
}

/** What workers held that are gone, until their machine's figures show it. */
export class Freed {
  readonly #nodes = new Map<string, Map<string, number>>();

  /** Adds what a worker held that is gone. */
  add(worker: WorkerView): void {
    if (!worker.memory) return;
    const freed = this.#nodes.get(worker.node) ?? new Map<string, number>();
    this.#nodes.set(worker.node, freed);
    const { host, device } = shown(worker.memory);
    const name = deviceName(worker.backend ?? "cpu", worker.device ?? 0);
    freed.set("host", (freed.get("host") ?? 0) + host);
    freed.set(name, (freed.get(name) ?? 0) + device);
  }

  /** Forgets those of a machine: its figures are newer. */
  clear(node: string): void {
    this.#nodes.delete(node);
  }

  /** Returns those of a machine, in bytes by device; `host` is the machine's own memory. */
  get(node: string): ReadonlyMap<string, number> | undefined {
    return this.#nodes.get(node);
  }
}
