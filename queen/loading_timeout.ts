/**
 * What a person is told whose model did not load in time. Pure.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { KnownWorker } from "./workers.ts";

/** Returns the error of S33 and S42: how far the load got, so that a person sees that it hangs and where. */
export function loadingTimeout(worker: KnownWorker, loadMs: number): RbeeError {
  const { layers_loaded, layers_total } = worker.record ?? {};
  const layers = layers_loaded === undefined ? undefined : `${layers_loaded}/${layers_total}`;
  const minutes = loadMs / 60_000;
  const time = minutes >= 1
    ? `${round(minutes)} minute${minutes === 1 ? "" : "s"}`
    : `${round(loadMs / 1_000)} seconds`;
  return new RbeeError("LOADING_TIMEOUT", {
    message: `Cannot use the model: model loading timeout after ${time}`,
    details: {
      state: "loading",
      layers,
      layers_loaded,
      layers_total,
      timeout_s: loadMs / 1_000,
      worker_id: worker.id,
      node: worker.node,
    },
    hint: `Check the worker's log on ${worker.node}: rbee logs --node ${worker.node} --worker ${worker.id}`,
  });
}

const round = (value: number) => Math.round(value * 10) / 10;
