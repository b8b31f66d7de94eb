/**
 * What the scheduler hears and what it answers: events in, effects out, both plain values. So a test, a simulation and
 * `effects.ts` all speak to the very same scheduler.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { Narration } from "../protocol/narration.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import type { HiveStatus, WorkerGone } from "../protocol/hive_status.ts";
import type { Demand } from "./known.ts";
import type { ModelEffect, ModelEvent } from "./model_messages.ts";
import type { SpawnedWorker } from "./workers.ts";

/** What the scheduler knows of a task: never its prompt. */
export interface TaskWish {
  readonly id: string;
  /** `infer` wants a slot; `load` wants a worker that has loaded its model, and ends then. */
  readonly kind: "infer" | "load";
  readonly demand: Demand;
  /** Slots of a worker that must be started for it. */
  readonly slots?: number;
  readonly waitMs: number;
  readonly timeoutMs: number;
  readonly correlationId?: string;
  /** Who asks; absent: somebody. Slots of a model are given to its clients in turn. */
  readonly client?: string;
  /** About how long the prompt is, in tokens; absent: usual. */
  readonly promptTokens?: number;
  /** How many tokens it may bring at most. */
  readonly answerTokens?: number;
  /** Hashes of the prompt's beginnings, see `prefixes.ts`. */
  readonly blocks?: readonly number[];
  /** Its decisions are told with their reasons. */
  readonly explain?: boolean;
}

/** How one attempt at a worker ended. */
export type StreamEnd =
  /** The worker's own terminal event was passed on; `failed` when that was an error event. */
  | { readonly kind: "done"; readonly failed: boolean }
  /** It answered with an error before its stream began, or could not be reached. */
  | { readonly kind: "refused"; readonly error: RbeeError }
  /** The stream ended without its terminal event; `begun`: the client has been sent a part of the text. */
  | { readonly kind: "broken"; readonly error: RbeeError; readonly begun: boolean }
  /** We stopped it. */
  | { readonly kind: "stopped" };

/** What happens to the scheduler. */
export type SchedulerEvent =
  | { readonly type: "taskSubmitted"; readonly wish: TaskWish }
  /** `gently`: somebody still reads the stream, and is to get the worker's own terminal event. */
  | { readonly type: "taskCancelled"; readonly task: string; readonly gently: boolean }
  | { readonly type: "streamEnded"; readonly task: string; readonly attempt: number; readonly end: StreamEnd }
  | { readonly type: "timerFired"; readonly timer: string }
  | { readonly type: "nodeAdded"; readonly node: string }
  /** `error`: what those are told who wait for something there. */
  | { readonly type: "nodeRemoved"; readonly node: string; readonly error: RbeeError }
  | { readonly type: "hiveWanted"; readonly node: string }
  | { readonly type: "hiveConnected"; readonly node: string }
  | { readonly type: "hiveFailed"; readonly node: string; readonly error: RbeeError }
  /** `unreachable`: the machine itself cannot be reached any more, and so none of its workers. */
  | { readonly type: "hiveLost"; readonly node: string; readonly error: RbeeError; readonly unreachable?: boolean }
  /** It was ended on purpose: nobody asks for it again until somebody wants it. `error`: for those who waited for it. */
  | { readonly type: "hiveReleased"; readonly node: string; readonly error: RbeeError }
  | { readonly type: "hiveStatus"; readonly node: string; readonly status: HiveStatus }
  | { readonly type: "hiveNarration"; readonly node: string; readonly narration: Narration }
  | { readonly type: "workerGone"; readonly node: string; readonly gone: WorkerGone }
  | { readonly type: "spawnAnswered"; readonly spawn: string; readonly worker: SpawnedWorker }
  | { readonly type: "spawnFailed"; readonly spawn: string; readonly error: RbeeError }
  | ModelEvent
  /** Somebody wants to know what a model is: it is asked for when that is not known. `node`: only there. */
  | { readonly type: "modelWanted"; readonly model: string; readonly node?: string }
  /** Takes nothing new and ends whoever waits; running tasks go on. */
  | { readonly type: "draining"; readonly error: RbeeError }
  /** Ends every task that is left. */
  | { readonly type: "endAll"; readonly error: RbeeError }
  | ModelEvent;

/** What the scheduler wants done. */
export type Effect =
  | ModelEffect
  | { readonly type: "ensureHive"; readonly node: string }
  | {
    readonly type: "spawnWorker";
    readonly spawn: string;
    readonly node: string;
    readonly demand: Demand;
    readonly slots?: number;
    readonly correlationId?: string;
  }
  | { readonly type: "stopWorker"; readonly node: string; readonly worker: string }
  | { readonly type: "startTask"; readonly task: string; readonly attempt: number; readonly worker: WorkerAddress }
  /**
   * Ends an attempt; `streamEnded` must follow. `gently`: the worker is asked and its stream read to the end, for a
   * bounded time. `now`: cut. `broken`: cut, and reported as broken, because the worker is believed dead.
   */
  | {
    readonly type: "stopTask";
    readonly task: string;
    readonly attempt: number;
    readonly how: "gently" | "now" | "broken";
    /** Of `broken`: why. */
    readonly error?: RbeeError;
  }
  /** Exactly one for each task. `error` is still to be told to the client; a relayed one already was. */
  | {
    readonly type: "taskEnded";
    readonly task: string;
    readonly end: "done" | "failed" | "cancelled";
    readonly error?: RbeeError;
    /** Of a `load` task: the worker that has loaded. */
    readonly worker?: string;
  }
  | { readonly type: "narrate"; readonly task: string; readonly narration: Omit<Narration, "correlation_id"> }
  | { readonly type: "progress"; readonly task: string; readonly progress: ProgressEvent }
  | { readonly type: "setTimer"; readonly timer: string; readonly ms: number }
  | { readonly type: "clearTimer"; readonly timer: string }
  | ModelEffect;

/** A worker as the relay needs it. */
export interface WorkerAddress {
  readonly id: string;
  readonly node: string;
  readonly url: string;
}
