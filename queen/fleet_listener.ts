/**
 * What the scheduler is told by those who watch what is out there.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { Narration } from "../protocol/narration.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import type { WorkerView } from "./known.ts";
import type { Verdict } from "./retry.ts";
import type { WaitsFor } from "./scheduled_task.ts";

/** A machine that was of no use, and why. */
export interface Elsewhere {
  readonly node: string;
  readonly error: RbeeError;
  /** Not to be tried again for the same task; so also when the verdict is `fail`. */
  readonly avoid?: boolean;
}

/** Who wants to know: the scheduler. */
export interface FleetListener {
  /**
   * What these tasks waited for will not come, or has come (`wait`). `elsewhere`: whoever named no machine, where there
   * are others, may get another one than this.
   */
  onWaitOver(waitsFor: WaitsFor, verdict: Verdict, elsewhere?: Elsewhere): void;
  /** A worker seems gone: its streams should end by themselves within that time. */
  onWorkerLost(worker: string, lost: { graceMs: number; error?: RbeeError }): void;
  /** These workers are there, also those that seemed gone. */
  onWorkersSeen(workers: ReadonlySet<string>): void;
  onNarration(waitsFor: WaitsFor, narration: Omit<Narration, "correlation_id">): void;
  onProgress(waitsFor: WaitsFor, progress: ProgressEvent): void;
  /** A model is on that machine's disk now. */
  onModelArrived(node: string): void;
  /** Whether a waiting task could take that worker; `before`: one that came before the task with that number. */
  isWanted(worker: WorkerView, before?: number): boolean;
}
