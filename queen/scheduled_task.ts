/**
 * One task as the scheduler holds it.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { Demand, Job } from "./known.ts";
import { usualJob } from "./placement_score.ts";
import type { LostPart } from "./retry.ts";
import { SlotWait } from "./slot_wait.ts";
import type { TaskWish } from "./scheduler_messages.ts";

/** What a waiting task waits for. */
export interface WaitsFor {
  /** What a model is, a hive, a model's file, a worker's start, its load, a slot of it. */
  readonly kind: "lookup" | "hive" | "fetch" | "spawn" | "worker" | "slot";
  /** A model, a node's name, the id of a fetch, a spawn or a worker; empty for a slot. */
  readonly id: string;
}

/** Whether two waits are the same one. */
export function sameWait(a: WaitsFor | undefined, b: WaitsFor): boolean {
  return a?.kind === b.kind && a.id === b.id;
}

/** A task from its submission to its end. Changed only by the scheduler. */
export class Task {
  readonly wish: TaskWish;
  /** Equal for tasks that placement cannot tell apart but by what they are about. */
  demandKey = "";
  #demand: Demand;
  /** Machines that it failed on, and why. */
  readonly avoid = new Map<string, RbeeError>();
  readonly slotWait: SlotWait;
  phase: "waiting" | "running" = "waiting";
  waitsFor?: WaitsFor;
  /** Counts attempts at workers, so that a late report of an earlier one is recognised. */
  attempt = 0;
  /** While running. */
  worker?: string;
  /** How often the task was tried again, by what was gone. */
  readonly retries: Record<LostPart, number> = { worker: 0, hive: 0, hiveStart: 0 };
  /** Since when it has waited for memory that workers hold, in the scheduler's milliseconds. */
  roomSince?: number;
  /** Workers that were started for it. */
  spawned = 0;
  /** Why its stream will be cut, unless it ends by itself before. */
  lostBy?: RbeeError;
  /** The decision that was explained last. */
  explained?: string;
  /** Cancelled while running; its stream still brings the worker's terminal event. */
  cancelled = false;

  /** `number` counts tasks in the order of their arrival. */
  constructor(wish: TaskWish, readonly number: number) {
    this.wish = wish;
    this.#demand = wish.demand;
    this.#setKey();
    this.slotWait = new SlotWait(wish.id, wish.waitMs);
  }

  /** What it asks for, with the model's canonical reference once that is known. */
  get demand(): Demand {
    return this.#demand;
  }

  /** See `demand`. */
  set model(ref: string) {
    if (ref === this.#demand.model) return;
    this.#demand = { ...this.#demand, model: ref };
    this.#setKey();
  }

  /** The model that it asks for. */
  get model(): string {
    return this.#demand.model;
  }

  /** Who asks: whose turn it is counts for each client. */
  get client(): string {
    return this.wish.client ?? "anonymous";
  }

  /** Notes that it is not to be tried again on that machine. */
  avoidNode(node: string, error: RbeeError): void {
    this.avoid.set(node, error);
    this.#setKey();
  }

  #setKey(): void {
    this.demandKey = JSON.stringify([this.wish.kind, this.#demand, this.wish.slots, [...this.avoid.keys()]]);
  }

  /** Returns what placement is told of it besides its demand; `ahead` tasks of its model wait before it. */
  job(ahead: number): Job {
    const { promptTokens, answerTokens, blocks, slots } = this.wish;
    return {
      promptTokens: promptTokens ?? usualJob.promptTokens,
      answerTokens: Math.min(answerTokens ?? usualJob.answerTokens, usualJob.answerTokens),
      blocks,
      slots,
      avoid: this.avoid.size === 0 ? undefined : this.avoid,
      ahead,
    };
  }

  /** The task's id. */
  get id(): string {
    return this.wish.id;
  }

  /** Under what the current attempt holds its slot. */
  get attemptName(): string {
    return `${this.id}#${this.attempt}`;
  }
}
