/**
 * How a worker is ended: asked, given time to finish what it does, told (SIGTERM), killed (SIGKILL). Bounded, whatever
 * the worker does; the sum of the bounds is `limits.everythingGoneMs`.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import { workerRoutes } from "../protocol/worker_routes.ts";
import { call, type Peer } from "../runtime/call.ts";
import { type Child, within } from "../runtime/process.ts";

/** How patient to be. */
export interface StopOptions {
  /** False when nobody can be waiting for its answers any more: then there is nothing to let end. */
  readonly drain: boolean;
  /** How long running requests may take, the question included. */
  readonly drainMs?: number;
  readonly ackMs?: number;
  /** From SIGTERM to SIGKILL. */
  readonly termGraceMs?: number;
}

/** Takes a worker down the ladder. Resolves when its process is gone; never rejects. */
export async function stopWorker(child: Child, peer: Peer, options: StopOptions): Promise<void> {
  const drainMs = options.drainMs ?? limits.drainMs;
  let graceMs = options.termGraceMs ?? (options.drain ? limits.termGraceMs : limits.termGraceSilentMs);
  if (options.drain) {
    const askedAt = performance.now();
    const asked = await Promise.race([ask(peer, options.ackMs ?? limits.shutdownAckMs), child.ended]);
    const leftMs = drainMs - (performance.now() - askedAt);
    if (asked === "acknowledged" && leftMs > 0 && await within(child.ended, leftMs)) return;
    // A Ctrl+C beside a stopped worker once took 15 s: what heard nothing for so long will not hear SIGTERM either.
    if (asked === "silent") graceMs = Math.min(graceMs, limits.termGraceSilentMs);
  }
  await child.stop(graceMs);
}

async function ask(peer: Peer, ackMs: number): Promise<"acknowledged" | "refused" | "silent"> {
  const late = AbortSignal.timeout(ackMs);
  try {
    await call(peer, workerRoutes.shutdown, { signal: late, attempts: 1 });
    return "acknowledged";
  } catch {
    return late.aborted ? "silent" : "refused"; // either way: the next rung
  }
}
