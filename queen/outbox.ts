/**
 * What the scheduler's parts write their effects into while one event is handled, and the clock they share. It also
 * keeps which timers are armed, so that one that fires late, after it was cleared or set anew, is recognised.
 *
 * @module
 */
import type { Effect } from "./scheduler_messages.ts";

/** A timer may fire this much before its time: two clocks round differently. */
const earlyMs = 5;

/** Effects of the event at hand, in order, and the armed timers. */
export class Outbox {
  /** The time of the event at hand, in milliseconds of any steady clock. */
  now = 0;
  #effects: Effect[] = [];
  readonly #due = new Map<string, number>();

  /** Adds an effect. */
  emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** Arms a timer, or arms it anew. */
  setTimer(timer: string, ms: number): void {
    this.#due.set(timer, this.now + ms);
    this.emit({ type: "setTimer", timer, ms });
  }

  /** Disarms a timer; nothing happens when it is not armed. */
  clearTimer(timer: string): void {
    if (this.#due.delete(timer)) this.emit({ type: "clearTimer", timer });
  }

  /** Returns whether a timer that fired was really due, and forgets it. */
  takeFired(timer: string): boolean {
    const due = this.#due.get(timer);
    if (due === undefined || this.now < due - earlyMs) return false;
    return this.#due.delete(timer);
  }

  /** Whether a timer is armed. */
  isArmed(timer: string): boolean {
    return this.#due.has(timer);
  }

  /** How many timers are armed. */
  get timers(): number {
    return this.#due.size;
  }

  /** Returns the collected effects and begins anew. */
  take(): Effect[] {
    return this.#effects.splice(0);
  }
}
