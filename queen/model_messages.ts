/**
 * What the scheduler and the hands that fetch models say to each other: a part of `scheduler_messages.ts`.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { ModelFacts } from "../protocol/model.ts";
import type { Narration } from "../protocol/narration.ts";
import type { ProgressEvent } from "../protocol/progress.ts";

/** What the scheduler wants done about models. */
export type ModelEffect =
  /** Asks the hive of that node what a reference means. `modelKnown` or `modelUnknown` must follow. */
  | { readonly type: "lookUpModel"; readonly node: string; readonly model: string }
  /**
   * Brings a model to a node's disk: from another hive when `from` names one, else from the hub; what cannot be had from
   * there comes from the hub. `fetchDone` or `fetchFailed` must follow, unless it was stopped.
   */
  | {
    readonly type: "fetchModel";
    readonly fetch: string;
    readonly node: string;
    readonly model: string;
    readonly from?: string;
    readonly correlationId?: string;
  }
  /** Nobody waits for it any more; what came stays on disk. Nothing follows. */
  | { readonly type: "stopFetch"; readonly fetch: string };

/** What the scheduler hears of models. */
export type ModelEvent =
  | {
    readonly type: "modelKnown";
    readonly node: string;
    readonly model: string;
    readonly facts: ModelFacts;
    /** Whether it lies on that node's disk. */
    readonly onDisk: boolean;
    readonly downloadBytes: number;
  }
  | { readonly type: "modelUnknown"; readonly node: string; readonly model: string; readonly error: RbeeError }
  | { readonly type: "fetchProgress"; readonly fetch: string; readonly progress: ProgressEvent }
  /** What its hive says of it: of a break and the next try, for example. */
  | {
    readonly type: "fetchNarration";
    readonly fetch: string;
    readonly narration: Omit<Narration, "correlation_id">;
  }
  | { readonly type: "fetchDone"; readonly fetch: string }
  | { readonly type: "fetchFailed"; readonly fetch: string; readonly error: RbeeError };
