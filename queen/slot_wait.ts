/**
 * How a task waits for a slot of a busy worker: one clock for the whole wait, and the lines of S35 and S41 after
 * growing pauses. A refusal by the worker in between stops neither.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { Outbox } from "./outbox.ts";

/** What a task waits for, and how it stands in the queue. */
export interface SlotQueue {
  readonly slotsTotal: number;
  /** Its place among those that wait for the model, from 1. */
  readonly position: number;
  readonly of: number;
  /** Until a slot is expected to be free for it; undefined: nobody knows. */
  readonly expectedMs?: number;
  /** What ends the task that waited in vain, where that is not that all slots are busy. */
  readonly error?: RbeeError;
}

/** One task's wait. */
export class SlotWait {
  readonly #task: string;
  readonly #waitMs: number;
  /** Unset: it is not waiting for a slot, or no longer for the same workers. */
  #until?: number;
  #lines = 0;
  #nextLineAt = 0;
  #queueAt = 0;
  #said?: string;
  #queue: SlotQueue = { slotsTotal: 0, position: 1, of: 1 };

  constructor(task: string, waitMs: number) {
    this.#task = task;
    this.#waitMs = waitMs;
  }

  /** Goes on waiting, or begins to. Returns the error when the time is over already. */
  begin(out: Outbox, queue: SlotQueue): RbeeError | undefined {
    this.#queue = queue;
    this.#queueAt = out.now;
    if (this.#until === undefined) {
      this.#until = out.now + this.#waitMs;
      this.#nextLineAt = out.now;
    }
    if (out.now >= this.#until) return this.over();
    if (!out.isArmed(`wait:${this.#task}`)) out.setTimer(`wait:${this.#task}`, this.#until - out.now);
    if (!out.isArmed(`say:${this.#task}`)) this.say(out);
  }

  /** Says the next line when it is due, and arms the timer of the one after it. */
  say(out: Outbox): void {
    const isLong = this.#waitMs > limits.waitForSlotMs;
    if (!isLong && this.#lines >= limits.busyNarrationMs.length) return;
    if (out.now < this.#nextLineAt) return out.setTimer(`say:${this.#task}`, this.#nextLineAt - out.now);
    const ms = limits.busyNarrationMs[this.#lines++] ?? limits.queueNarrationMs;
    this.#nextLineAt = out.now + ms;
    const human = isLong
      ? this.#place(out.now)
      : `⏳ Worker is busy, retrying in ${ms / 1_000} second${ms === 1_000 ? "" : "s"}…`;
    // Whoever waits long does not want to read the same again and again.
    if (human !== this.#said) {
      const narration = { actor: "queen-rbee", action: "task-wait", target: this.#task, human };
      out.emit({ type: "narrate", task: this.#task, narration });
    }
    this.#said = isLong ? human : undefined;
    out.setTimer(`say:${this.#task}`, ms);
  }

  #place(now: number): string {
    const { position, of, expectedMs } = this.#queue;
    const leftMs = (expectedMs ?? 0) - (now - this.#queueAt);
    const seconds = Math.max(1, Math.round(leftMs / 1_000));
    const start = expectedMs === undefined ? "" : `, expected start in ${seconds} s`;
    return `⏳ Worker is busy: position ${position} of ${of}${start}`;
  }

  /** Stops the timers; the clock goes on, for the case that the worker refuses the task. */
  pause(out: Outbox): void {
    out.clearTimer(`wait:${this.#task}`);
    out.clearTimer(`say:${this.#task}`);
  }

  /** Ends the wait: the task waits for something else now, for instance a worker that loads. */
  reset(out: Outbox): void {
    this.pause(out);
    this.#until = undefined;
    this.#lines = 0;
    this.#said = undefined;
  }

  /** Returns the error that ends a task which has waited long enough. */
  over(): RbeeError {
    const { error, slotsTotal } = this.#queue;
    if (error) return error;
    const usual = this.#waitMs <= limits.waitForSlotMs;
    const tries = usual ? `${this.#lines} ${this.#lines === 1 ? "retry" : "retries"}` : `${this.#waitMs / 1_000} s`;
    return new RbeeError("ALL_SLOTS_BUSY", {
      message: this.#lines === 0 ? "Cannot start: all slots are busy" : `Cannot start: still busy after ${tries}`,
      // None is free, whoever holds them: otherwise the task would not have waited.
      details: { slots_total: slotsTotal, slots_busy: slotsTotal, waited_ms: this.#waitMs },
    });
  }
}
