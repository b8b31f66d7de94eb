/**
 * What fetching a model works with: what is wanted, whom it tells, the way to the hives, and what becomes of a way that
 * breaks.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { Narration } from "../protocol/narration.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import { type Peer, sleep } from "../runtime/call.ts";
import type { Log } from "../runtime/log.ts";
import type { HiveControl } from "./hive_control.ts";
import { onNode } from "./node_error.ts";

/** What is to be brought where. */
export interface FetchWish {
  readonly node: string;
  /** Canonical reference. */
  readonly model: string;
  /** A node whose hive has it. */
  readonly from?: string;
  readonly correlationId?: string;
}

/** Whom a fetch tells how far it is. Neither ever throws. */
export interface FetchListener {
  narrate(narration: Omit<Narration, "correlation_id">): void;
  progress(event: ProgressEvent): void;
}

/** What came of it. */
export interface Fetched {
  readonly localPath: string;
  /** `cached`: it was there. */
  readonly source: "cached" | "hub" | "peer";
}

/** What fetches reach. */
export interface FetchGround {
  readonly hives: { get(node: string): Pick<HiveControl, "peer" | "check"> | undefined };
  readonly log: Log;
}

/** What one fetch works with. */
export interface FetchWay extends FetchGround {
  readonly listener: FetchListener;
  readonly signal: AbortSignal;
}

/** Told how many bytes of a model are there. */
export type OnProgress = (bytes: number) => void;

/** How a download ended, as its hive tells: no other try at following it changes that. */
export class DownloadEnded extends Error {
  override readonly name = "DownloadEnded";
  constructor(override readonly cause: RbeeError) {
    super(cause.message);
  }
}

/** Returns the hive of a node. Throws `CONNECTION_LOST` while it does not answer. */
export function hiveOf(node: string, { hives }: FetchGround): Peer {
  const peer = hives.get(node)?.peer;
  if (peer) return peer;
  const message = `Cannot go on: the hive on ${node} does not answer`;
  throw new RbeeError("CONNECTION_LOST", { message, details: { node } });
}

/** Returns what the promise gives. Throws the signal's reason when that comes first. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const left = Promise.withResolvers<never>();
  const leave = () => left.reject(signal.reason);
  if (signal.aborted) leave();
  signal.addEventListener("abort", leave, { once: true });
  try {
    return await Promise.race([promise, left.promise]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

/**
 * Tries again what broke on the way to a node's hive, `attempts` times in a row, waiting until that hive is back. `act`
 * tells by `onProgress` how many bytes are there: with more of them the count begins anew. Throws what is no such
 * break, with the node's name.
 */
export async function persistently<T>(
  node: string,
  way: FetchWay,
  attempts: number,
  act: (isFirst: boolean, onProgress: OnProgress) => Promise<T>,
): Promise<T> {
  let best = 0;
  for (let broken = 0, isFirst = true;; isFirst = false) {
    try {
      return await act(isFirst, (bytes) => {
        if (bytes > best) broken = 0;
        best = Math.max(best, bytes);
      });
    } catch (thrown) {
      way.signal.throwIfAborted();
      const error = toRbeeError(thrown instanceof DownloadEnded ? thrown.cause : thrown);
      const told = error.details.node === undefined ? onNode(error, node) : error;
      if (thrown instanceof DownloadEnded || !isBreak(error) || ++broken >= attempts) throw told;
      way.log.warn("the way to a model broke", { node, code: error.code, error: error.message });
      await untilBack(node, way, broken);
    }
  }
}

/** Whether the next try may find it mended: a connection, a hive that ends, a download that its hive has forgotten. */
function isBreak({ code }: RbeeError): boolean {
  return code.startsWith("CONNECTION_") || code === "SHUTTING_DOWN" || code === "NOT_FOUND";
}

/** Waits a little, and for the hive while it is gone; whoever wants it back asks the scheduler for it. */
async function untilBack(node: string, { hives, signal }: FetchWay, broken: number): Promise<void> {
  const hive = hives.get(node);
  await hive?.check();
  await sleep(limits.followAgainMs * broken, signal);
  const end = performance.now() + limits.hiveBackMs;
  while (hives.get(node)?.peer === undefined && performance.now() < end) await sleep(limits.followAgainMs, signal);
}
