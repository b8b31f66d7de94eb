/**
 * A node's hive is asked for a model and followed until that is there. The hive does the work, and tries again what the
 * network breaks.
 *
 * @module
 */
import { fromErrorBody, isErrorBody, RbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { limits } from "../protocol/limits.ts";
import { narration } from "../protocol/narration.ts";
import { type ProgressEvent, progressEvent } from "../protocol/progress.ts";
import { parseEvents } from "../protocol/sse.ts";
import { call, callStream, type Peer } from "../runtime/call.ts";
import { untilSilent } from "./hive_events.ts";
import { DownloadEnded, type Fetched, type FetchWay, type FetchWish, hiveOf, type OnProgress } from "./model_way.ts";

/** Asks for the download, joins one under way, and follows it. */
export async function download(
  { node, model, correlationId }: FetchWish,
  way: FetchWay,
  { isFirst, onProgress }: { isFirst: boolean; onProgress: OnProgress },
): Promise<Fetched> {
  const peer = hiveOf(node, way);
  const started = await call(peer, hiveRoutes.downloadModel, {
    body: { model_ref: model },
    signal: way.signal,
    correlationId,
    deadlineMs: limits.modelLookUpMs,
  });
  const { download_id: id, local_path: path } = started;
  if (path !== undefined) return { localPath: path, source: isFirst ? "cached" : "hub" };
  return { localPath: await followDownload(peer, id, way, onProgress), source: "hub" };
}

/**
 * Follows a download to its end and returns where the model lies. Throws `DownloadEnded` with the hive's own error, or
 * what broke the way.
 */
export async function followDownload(
  peer: Peer,
  id: string,
  { listener, signal }: Pick<FetchWay, "listener" | "signal">,
  onProgress: OnProgress,
): Promise<string> {
  const { body } = await callStream(peer, hiveRoutes.downloadProgress, { query: { id }, signal, attempts: 1 });
  try {
    for await (const { event, data } of parseEvents(untilSilent(body, limits.hiveSilentMs))) {
      const value = json(data);
      if (event === "narration") {
        const said = narration.safeParse(value);
        if (said.success) listener.narrate(withoutId(said.data));
        continue;
      }
      if (isErrorBody(value)) throw new DownloadEnded(fromErrorBody(value));
      const progress = progressEvent.safeParse(value);
      if (!progress.success) continue; // the end mark, or what a newer hive tells
      if (progress.data.stage === "error") throw new DownloadEnded(errorOf(progress.data));
      listener.progress(progress.data);
      if (progress.data.stage === "complete") return progress.data.local_path;
      if (progress.data.stage === "downloading") onProgress(progress.data.bytes_downloaded);
    }
  } catch (error) {
    if (error instanceof RbeeError || error instanceof DownloadEnded) throw error;
    throw progressEnded(error);
  }
  throw progressEnded();
}

function progressEnded(cause?: unknown): RbeeError {
  return new RbeeError("CONNECTION_LOST", { message: "Cannot go on: the hive's progress ended", cause });
}

function withoutId({ actor, action, target, human }: ReturnType<typeof narration.parse>) {
  return { actor, action, target, human };
}

function errorOf({ message, error }: Extract<ProgressEvent, { stage: "error" }>): RbeeError {
  const body = { error };
  return isErrorBody(body) ? fromErrorBody(body) : new RbeeError("DOWNLOAD_FAILED", { message });
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the end mark: no schema takes it
  }
}
