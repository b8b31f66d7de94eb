/**
 * How a task waits for a slot of a busy worker: one clock for the whole wait, and the lines of S35 and S41 after
 * growing pauses. A refusal by the worker in between stops neither.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { Outbox } from "./outbox.ts";

/** One task's wait. */
export class SlotWait {
  readonly #task: string;
  readonly #waitMs: number;
  /** Unset: it is not waiting for a slot, or no longer for the same workers. */
  #until?: number;
  #lines = 0;
  #nextLineAt = 0;
  #slotsTotal = 0;

  constructor(task: string, waitMs: number) {
    this.#task = task;
    this.#waitMs = waitMs;
  }

  /** Goes on waiting, or begins to. Returns the error when the time is over already. */
  begin(out: Outbox, slotsTotal: number): RbeeError | undefined {
    this.#slotsTotal = slotsTotal;
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
    if (this.#lines >= limits.busyNarrationMs.length) return;
    if (out.now < this.#nextLineAt) return out.setTimer(`say:${this.#task}`, this.#nextLineAt - out.now);
    const ms = limits.busyNarrationMs[this.#lines++];
    this.#nextLineAt = out.now + ms;
    const human = `⏳ Worker is busy, retrying in ${ms / 1_000} second${ms === 1_000 ? "" : "s"}…`;
    const narration = { actor: "queen-rbee", action: "task-wait", target: this.#task, human };
    out.emit({ type: "narrate", task: this.#task, narration });
    out.setTimer(`say:${this.#task}`, ms);
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
  }

  /** Returns the error that ends a task which has waited long enough. */
  over(): RbeeError {
    const usual = this.#waitMs <= limits.waitForSlotMs;
    const tries = usual ? `${this.#lines} ${this.#lines === 1 ? "retry" : "retries"}` : `${this.#waitMs / 1_000} s`;
    return new RbeeError("ALL_SLOTS_BUSY", {
      message: `Cannot start: still busy after ${tries}`,
      // None is free, whoever holds them: otherwise the task would not have waited.
      details: { slots_total: this.#slotsTotal, slots_busy: this.#slotsTotal, waited_ms: this.#waitMs },
    });
  }
}
