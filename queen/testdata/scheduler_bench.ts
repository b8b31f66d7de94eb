/**
 * A scheduler under test: a clock that a test moves, the effects so far, and a worker as a hive shows it.
 *
 * @module
 */
import type { WorkerRecord } from "../../protocol/worker.ts";
import { Scheduler } from "../scheduler.ts";
import type { Effect, SchedulerEvent } from "../scheduler_messages.ts";

/** What such tests have in common. */
export class SchedulerBench {
  now = 1_000;
  readonly effects: Effect[] = [];
  readonly scheduler: Scheduler;

  constructor(nodes: readonly string[]) {
    this.scheduler = new Scheduler({ nodes, loadMs: 300_000, spawnMs: 60_000, random: () => 0 });
  }

  /** Tells the scheduler, and returns what it wants done. */
  tell(event: SchedulerEvent): Effect[] {
    const effects = this.scheduler.handle(event, this.now);
    this.effects.push(...effects);
    return effects;
  }

  /** Fires a timer at its time. */
  fire(timer: string): Effect[] {
    const set = this.effects.findLast((e) => e.type === "setTimer" && e.timer === timer);
    if (set?.type !== "setTimer") throw new Error(`the timer ${timer} was never set`);
    this.now += set.ms;
    return this.tell({ type: "timerFired", timer });
  }
}

/** Returns an idle worker as its hive shows it. */
export function workerRecord(more: Partial<WorkerRecord> = {}): WorkerRecord {
  return {
    id: "worker-a",
    url: "http://127.0.0.1:8081",
    port: 8081,
    model_ref: "builtin:tiny",
    backend: "cpu",
    device: 0,
    state: "idle",
    slots_total: 1,
    slots_available: 1,
    last_activity_unix: 0,
    failed_health_checks: 0,
    pid: 1,
    ...more,
  };
}
