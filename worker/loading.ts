/**
 * The progress of loading, for everyone who asks: layers as they come, then `ready` or `error`, then the end mark.
 *
 * @module
 */
import type { ProgressEvent } from "../protocol/progress.ts";
import { doneText, encodeJsonEvent } from "../protocol/sse.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";
import type { Lifecycle } from "./lifecycle.ts";

/** Writes the loading's progress until it has ended; who comes after that gets the last event at once. */
export async function writeLoading(lifecycle: Lifecycle, out: StreamWriter): Promise<void> {
  for await (const _change of lifecycle.watch(out.signal)) {
    const event = progressOf(lifecycle);
    if (!event) continue;
    const isLast = event.stage !== "loading_to_vram";
    await out.write(encodeJsonEvent(event) + (isLast ? doneText : ""));
    if (isLast) return;
  }
}

/** Returns where loading stands; undefined before the engine said anything. */
function progressOf(lifecycle: Lifecycle): ProgressEvent | undefined {
  if (lifecycle.error) return { stage: "error", message: lifecycle.error.message };
  if (lifecycle.facts) return { stage: "ready" };
  if (lifecycle.state === "draining") return { stage: "error", message: "Cannot go on loading: shutting down" };
  const progress = lifecycle.progress;
  if (!progress) return undefined;
  return {
    stage: "loading_to_vram",
    layers_loaded: progress.layersLoaded,
    layers_total: progress.layersTotal,
    vram_mb: Math.round(progress.vramMb),
  };
}
