/**
 * Whether a worker is well: one question to the worker itself.
 *
 * @module
 */
import { workerRoutes } from "../protocol/worker_routes.ts";
import { call, type Peer } from "../runtime/call.ts";

/** Returns whether a worker answers as a healthy one within `deadlineMs`. Never rejects. */
export async function isHealthy(peer: Peer, deadlineMs: number): Promise<boolean> {
  try {
    const health = await call(peer, workerRoutes.healthV1, { deadlineMs, attempts: 1 });
    return health.status === "healthy";
  } catch {
    return false; // no answer, or one that nobody understands: both are a strike
  }
}
