/**
 * Follows what a worker says of itself on its `GET /v1/events`, for as long as it lives.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import { doneMark, parseEvents } from "../protocol/sse.ts";
import { workerRoutes } from "../protocol/worker_routes.ts";
import { type WorkerStatus, workerStatus } from "../protocol/worker.ts";
import { callStream, type Peer } from "../runtime/call.ts";
import { within } from "../runtime/process.ts";

/** How to follow. */
export interface FollowOptions {
  readonly onStatus: (status: WorkerStatus) => void;
  /** Resolves when the worker's process is gone: then there is nothing to follow. */
  readonly ended: Promise<unknown>;
}

/** Hands on every status until the worker is gone; a cut stream is opened again. Never rejects. */
export async function followStatus(peer: Peer, options: FollowOptions): Promise<void> {
  let isGone = false;
  const ended = options.ended.then(() => isGone = true);
  while (!isGone) {
    try {
      const stream = await callStream(peer, workerRoutes.events, { attempts: 1 });
      for await (const event of parseEvents(stream.body)) {
        if (event.event !== undefined || event.data === doneMark) continue;
        const parsed = workerStatus.safeParse(JSON.parse(event.data));
        if (parsed.success) options.onStatus(parsed.data);
      }
    } catch {
      // cut, or it does not answer: health checks and its process tell whether it is well
    }
    await within(ended, limits.workerEventsAgainMs);
  }
}
