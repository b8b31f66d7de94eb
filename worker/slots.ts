/**
 * The worker's slots: each generates one text at a time and still holds the tokens of its last prompt. Taking one
 * returns a handle, disposing the handle gives it back.
 *
 * @module
 */
import type { Tokens } from "../native/engine.ts";
import { RbeeError } from "../protocol/error.ts";
import type { Lifecycle } from "./lifecycle.ts";

/** A slot that was taken. Disposing it twice is as good as once. */
export interface Slot extends Disposable {
  /** From 0, as the engine counts. */
  readonly index: number;
}

/** One slot's memory. */
interface Place {
  readonly index: number;
  /** What it was last given, which the engine does not compute again. */
  held: Tokens;
  busy: boolean;
  /** Counts up with each use; 0 when never used. */
  usedAt: number;
}

/** All slots of this worker. */
export class Slots {
  readonly #places: Place[];
  readonly #lifecycle: Lifecycle;
  #uses = 0;

  constructor(lifecycle: Lifecycle) {
    this.#lifecycle = lifecycle;
    this.#places = Array.from({ length: lifecycle.slotsTotal }, (_none, index) => {
      return { index, held: [], busy: false, usedAt: 0 };
    });
  }

  /** Throws `ALL_SLOTS_BUSY` with both numbers when none is free. */
  checkFree(): void {
    if (this.#places.some((place) => !place.busy)) return;
    const total = this.#places.length;
    throw new RbeeError("ALL_SLOTS_BUSY", { details: { slots_total: total, slots_busy: total } });
  }

  /**
   * Returns the free slot that shares the longest prefix with these tokens; of equals the one that was used longest
   * ago, so that what others may still continue stays. Throws `ALL_SLOTS_BUSY`.
   */
  take(tokens: Tokens): Slot {
    this.checkFree();
    const place = this.#best(tokens);
    place.busy = true;
    place.held = tokens;
    place.usedAt = ++this.#uses;
    this.#lifecycle.slotTaken();
    let mine = true;
    return {
      index: place.index,
      [Symbol.dispose]: () => {
        if (!mine) return;
        mine = false;
        place.busy = false;
        this.#lifecycle.slotFreed();
      },
    };
  }

  #best(tokens: Tokens): Place {
    const free = this.#places.filter((place) => !place.busy);
    const shared = new Map(free.map((place) => [place, sharedPrefix(place.held, tokens)]));
    return free.reduce((best, place) => {
      const more = shared.get(place)! - shared.get(best)!;
      return more > 0 || (more === 0 && place.usedAt < best.usedAt) ? place : best;
    });
  }
}

/** Returns how many tokens two lists have in common at their beginning. */
export function sharedPrefix(a: Tokens, b: Tokens): number {
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a[at] === b[at]) at++;
  return at;
}
