/**
 * Workers that are on their way: asked for, and not answered for yet. Pure.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { Demand, SpawnChoice, SpawnView } from "./known.ts";
import type { Outbox } from "./outbox.ts";
import type { TaskWish } from "./scheduler_messages.ts";

/** One of them. */
export interface Spawn extends SpawnView {
  readonly slots?: number;
  readonly correlationId?: string;
  /** False while workers that make room for it are not gone yet. */
  sent: boolean;
  /** These. */
  readonly evicts: Set<string>;
  readonly evictsAtFirst: number;
}

/** All of them, on every node. */
export class Spawns {
  readonly #spawns = new Map<string, Spawn>();
  readonly #out: Outbox;
  readonly #answerMs: number;
  #made = 0;

  constructor(out: Outbox, answerMs: number) {
    this.#out = out;
    this.#answerMs = answerMs;
  }

  /** Returns all of them, oldest first. */
  all(): Spawn[] {
    return [...this.#spawns.values()];
  }

  /** How many there are. */
  get count(): number {
    return this.#spawns.size;
  }

  /** Returns those on a node, oldest first. */
  on(node: string): Spawn[] {
    return this.#spawns.size === 0 ? [] : this.all().filter((s) => s.node === node);
  }

  /** Returns one, or undefined. */
  get(id: string): Spawn | undefined {
    return this.#spawns.get(id);
  }

  /** Plans a worker for a task. Returns the spawn's id. */
  add({ node, backend, device, takes, evicts }: SpawnChoice, wish: TaskWish, demand: Demand): string {
    const id = `spawn-${++this.#made}`;
    const { slots, correlationId } = wish;
    const named = { ...demand, backend: demand.backend ?? backend, device: demand.device ?? device };
    this.#spawns.set(id, {
      id,
      node,
      demand: named,
      slots,
      correlationId,
      takes,
      evicts: new Set(evicts),
      evictsAtFirst: evicts.length,
      sent: false,
    });
    return id;
  }

  /** Asks the hive, once. Returns whether it was asked now. */
  send(id: string): boolean {
    const spawn = this.#spawns.get(id);
    if (!spawn || spawn.sent) return false;
    spawn.sent = true;
    const { node, demand, slots, correlationId } = spawn;
    this.#out.emit({ type: "spawnWorker", spawn: id, node, demand, slots, correlationId });
    this.#out.setTimer(`spawn:${id}`, this.#answerMs);
    return true;
  }

  /** Forgets one, because its answer came or is given up. Returns it, or undefined when it was forgotten before. */
  remove(id: string): Spawn | undefined {
    const spawn = this.#spawns.get(id);
    this.#spawns.delete(id);
    this.#out.clearTimer(`spawn:${id}`);
    return spawn;
  }

  /** Returns the error of a spawn that its hive never answered. */
  unanswered(node: string): RbeeError {
    return new RbeeError("CONNECTION_LOST", {
      message: `Cannot start the worker: the hive on ${node} does not answer`,
      details: { node, timeout_ms: this.#answerMs },
    });
  }
}
