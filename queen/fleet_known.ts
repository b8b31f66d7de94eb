/**
 * What placement looks at, kept as it changes: nothing is gathered anew for each decision.
 *
 * @module
 */
import type { ModelFacts } from "../protocol/model.ts";
import type { Machine } from "../protocol/node.ts";
import type { FleetListener } from "./fleet_listener.ts";
import type { Fetches } from "./fetches.ts";
import type { Hives } from "./hives.ts";
import type { FetchView, Known, NodeView, Rooms, SpawnView, WorkerView } from "./known.ts";
import type { ModelBook } from "./model_facts.ts";
import type { Outbox } from "./outbox.ts";
import { roomsOf } from "./placement_memory.ts";
import type { Prefixes } from "./prefixes.ts";
import type { Spawns } from "./spawns.ts";
import type { Workers } from "./workers.ts";

/** Whose state it is. */
export interface FleetParts {
  readonly hives: Hives;
  readonly workers: Workers;
  readonly spawns: Spawns;
  readonly fetches: Fetches;
  readonly book: ModelBook;
  readonly prefixes: Prefixes;
  readonly out: Outbox;
  readonly random: () => number;
  readonly isWanted: FleetListener["isWanted"];
}

/** The live view. */
export class FleetKnown implements Known {
  readonly #parts: FleetParts;
  readonly #rooms = new Map<string, Rooms>();

  constructor(parts: FleetParts) {
    this.#parts = parts;
  }

  /** Something has changed on that machine that its memory depends on. */
  touch(node: string): void {
    this.#rooms.delete(node);
  }

  /** See `Known`. */
  get nodes(): readonly NodeView[] {
    return this.#parts.hives.views();
  }

  /** See `Known`. */
  get spawns(): readonly SpawnView[] {
    return this.#parts.spawns.all();
  }

  /** See `Known`. */
  get fetches(): readonly FetchView[] {
    return this.#parts.fetches.all();
  }

  /** See `Known`. */
  get now(): number {
    return this.#parts.out.now;
  }

  /** See `Known`. */
  get tie(): number {
    return this.#parts.random();
  }

  /** See `Known`. */
  get fetchBytesPerSecond(): number {
    return this.#parts.fetches.bytesPerSecond;
  }

  /** See `Known`. */
  node(name: string): NodeView | undefined {
    return this.#parts.hives.view(name);
  }

  /** See `Known`. */
  workersOf(model: string): readonly WorkerView[] {
    return this.#parts.workers.of(model);
  }

  /** See `Known`. */
  workersOn(node: string): readonly WorkerView[] {
    return this.#parts.workers.on(node);
  }

  /** See `Known`. */
  rooms(node: string): Rooms | undefined {
    const known = this.#rooms.get(node);
    if (known) return known;
    const { hives, workers, spawns, fetches } = this.#parts;
    const view = hives.view(node);
    if (!view?.machine) return undefined;
    // What was free when its hive was there last says nothing: the workers have gone with it.
    const machine = view.hive === "up" ? view.machine : emptied(view.machine);
    const rooms = roomsOf({
      machine,
      workers: workers.on(node),
      spawns: spawns.on(node),
      fetches: fetches.to(node),
      freed: workers.freed.get(node),
    });
    this.#rooms.set(node, rooms);
    return rooms;
  }

  /** See `Known`. */
  facts(model: string): ModelFacts | undefined {
    return this.#parts.book.facts(model, this.#parts.out.now);
  }

  /** See `Known`. */
  isWanted(worker: WorkerView, before?: number): boolean {
    return this.#parts.isWanted(worker, before);
  }

  /** See `Known`. */
  cachedBlocks(worker: string, blocks: readonly number[]): number {
    return this.#parts.prefixes.common(worker, blocks);
  }
}

function emptied(machine: Machine): Machine {
  return {
    ...machine,
    memory_available_bytes: machine.memory_total_bytes,
    gpus: machine.gpus.map((gpu) => ({ ...gpu, memory_free_bytes: gpu.memory_total_bytes })),
  };
}
