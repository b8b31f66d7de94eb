/**
 * How one node's hive is had: as a child on this machine, over SSH, or at an address. What is done with it then is the
 * same for all (`hive_control.ts`).
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { Peer } from "../runtime/call.ts";

/** A hive that answers and is ours to use. */
export interface OpenHive {
  readonly peer: Peer;
  /** Whether it ends with its queen: she, or one before her in this home, has started it. */
  readonly isOurs: boolean;
  /** Whether it is on another machine: when the way to it is gone, so is the way to its workers. */
  readonly isRemote: boolean;
  /** Whether it ran before we came. */
  readonly wasRunning: boolean;
  /** Its process on its machine; undefined when nobody tells. */
  readonly pid?: number;
  /** Resolves when the way to it is gone, sooner than its silence would tell. */
  readonly gone: Promise<RbeeError>;
}

/** How far the end of a hive has come. */
export interface HiveEnd {
  /** It answered until now, and ends with its queen. */
  readonly isOurs: boolean;
  /** It has acknowledged that it is to end. */
  readonly asked: boolean;
  /** Resolves when its events have ended. */
  readonly over: Promise<void>;
}
/** How a hive was ended; `killed`: it did not end by itself in time. */
export type StopResult = "stopped" | "killed" | "none";

/** The way to one node's hive. */
export interface HiveAccess {
  /**
   * Returns the running hive, or starts one; its lease is ours then. `say` takes what a person is to know meanwhile.
   * Throws why it cannot be had: `HIVE_START_FAILED`, `HIVE_LEASED`, `VERSION_MISMATCH`, `CONNECTION_TIMEOUT`, …
   */
  open(say: (human: string) => void): Promise<OpenHive>;
  /**
   * Ends a hive that is not open, whoever started it, and returns whether there was one. Resolves when it is gone.
   * `say` as for `open`. Throws why that is not possible.
   */
  stop(say: (human: string) => void): Promise<StopResult>;
  /** Lets an `open` that is under way come to its end soon, without leaving behind what it has started. */
  giveUp(): void;
  /** Resolves when the process of the hive that was open is gone, in bounded time. Never rejects. */
  untilGone(): Promise<void>;
  /** Returns a worker of the open hive as a peer. Throws `CONNECTION_LOST`. */
  workerPeer(id: string, url: string): Promise<Peer>;
  /** Notes that a worker is gone: whatever leads to it can be closed. */
  forgetWorker(id: string): void;
  /** Returns why the way to the hive is gone, in bounded time; undefined while it stands. */
  whyGone(): Promise<RbeeError | undefined>;
  /** Ends the hive when it is ours, and closes the way to it. Never rejects. */
  end(how: HiveEnd): Promise<void>;
}
