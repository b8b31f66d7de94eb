/**
 * What workers hold of their machine's memory, and how much of it the machine's figures do not show yet: a picture may be
 * older than the worker. Pure.
 *
 * @module
 */
import type { WorkerRecord } from "../protocol/worker.ts";
import type { Bytes, Held, WorkerView } from "./known.ts";
import { deviceName } from "./placement_memory.ts";

/** What a record's memory is judged by. */
export interface HeldInput {
  readonly before?: Held;
  /** What such a worker takes, where its model is known. */
  readonly takes?: Bytes;
  /** The machine's figures of the same picture are new. */
  readonly isFresh: boolean;
}

/** Returns what a worker holds; undefined when nobody knows. */
export function heldBy(record: WorkerRecord, { before, takes, isFresh }: HeldInput): Held | undefined {
  // What it says of itself are weights and context; its process holds more, and while it loads it says less.
  const said = record.memory_bytes ?? 0;
  const most = record.backend === "cpu"
    ? { host: Math.max(said, takes?.host ?? 0), device: 0 }
    : { host: takes?.host ?? 0, device: takes?.device ?? said };
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
