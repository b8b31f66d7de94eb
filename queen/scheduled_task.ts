/**
 * One task as the scheduler holds it.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { LostPart } from "./retry.ts";
import { SlotWait } from "./slot_wait.ts";
import type { TaskWish } from "./scheduler_messages.ts";

/** What a waiting task waits for. */
export interface WaitsFor {
  readonly kind: "spawn" | "worker" | "slot";
  /** A spawn's or a worker's id; empty for a slot. */
  readonly id: string;
}

/** Whether two waits are the same one. */
export function sameWait(a: WaitsFor | undefined, b: WaitsFor): boolean {
  return a?.kind === b.kind && a.id === b.id;
}

/** A task from its submission to its end. Changed only by the scheduler. */
export class Task {
  readonly wish: TaskWish;
  /** Equal for tasks that placement cannot tell apart. */
  readonly demandKey: string;
  readonly slotWait: SlotWait;
  phase: "waiting" | "running" = "waiting";
  waitsFor?: WaitsFor;
  /** Counts attempts at workers, so that a late report of an earlier one is recognised. */
  attempt = 0;
  /** While running. */
  worker?: string;
  /** How often the task was tried again, by what was gone. */
  readonly retries: Record<LostPart, number> = { worker: 0, hive: 0, hiveStart: 0 };
  /** Workers that were started for it. */
  spawned = 0;
  /** Why its stream will be cut, unless it ends by itself before. */
  lostBy?: RbeeError;
  /** Cancelled while running; its stream still brings the worker's terminal event. */
  cancelled = false;

  constructor(wish: TaskWish) {
    this.wish = wish;
    this.demandKey = JSON.stringify([wish.kind, wish.demand]);
    this.slotWait = new SlotWait(wish.id, wish.waitMs);
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
