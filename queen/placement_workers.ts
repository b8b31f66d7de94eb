/**
 * Whether a worker serves a demand. Pure.
 *
 * @module
 */
import type { Demand, WorkerView } from "./known.ts";

/** Returns why this worker cannot serve the demand, or undefined when it can. */
export function whyNot(demand: Demand, worker: WorkerView): string | undefined {
  if (worker.model !== demand.model) return "it holds another model";
  if (demand.node !== undefined && worker.node !== demand.node) return `it is on ${worker.node}`;
  if (differs(demand.backend, worker.backend)) return `its backend is ${worker.backend}`;
  if (differs(demand.device, worker.device)) return `its device is ${worker.device}`;
  const ctx = Math.max(worker.ctx ?? 0, worker.ctxAsked ?? 0);
  // While it loads nobody knows what its context will be; it is looked at again when it has loaded.
  if (demand.ctx !== undefined && ctx < demand.ctx && worker.state !== "loading") return `its context is ${ctx} tokens`;
  if (demand.keepS !== undefined && worker.keepS !== demand.keepS) return "its idle time-out is another";
  if (worker.suspect) return "it broke a stream a moment ago";
  if (worker.leaving) return "it was asked to end, to make room";
  if (worker.state === "draining" || worker.state === "unhealthy") return `it is ${worker.state}`;
  return undefined;
}

/** A worker whose hive has not shown it yet may turn out right: waiting for it is cheaper than a second one. */
const differs = <T>(wanted: T | undefined, has: T | undefined) =>
  wanted !== undefined && has !== undefined && wanted !== has;

/** Whether a worker that is started for one demand could serve another. */
export function couldServe(demand: Demand, spawned: Demand): boolean {
  return spawned.model === demand.model && !differs(demand.backend, spawned.backend) &&
    !differs(demand.device, spawned.device) &&
    (demand.ctx === undefined || spawned.ctx === undefined || spawned.ctx >= demand.ctx) &&
    (demand.keepS === undefined || spawned.keepS === demand.keepS);
}

/** Whether it has loaded. */
export const isReady = (worker: WorkerView): boolean => worker.state === "idle" || worker.state === "busy";

/** Whether it has loaded and has room for a task of ours. */
export const hasFreeSlot = (worker: WorkerView): boolean =>
  isReady(worker) && worker.slotsHeld < worker.slotsTotal && !worker.refuses;

/** Whether nobody uses it, so that it may be ended when its memory is needed. */
export const isIdle = (worker: WorkerView): boolean =>
  worker.state === "idle" && worker.slotsHeld === 0 && !worker.refuses && !worker.leaving;
