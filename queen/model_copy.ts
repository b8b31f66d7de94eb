/**
 * A model from one hive to another, through the queen: neither needs a way to the other. What the target wants of each
 * file goes in requests of `copyPieceBytes`, at its own pace, and the queen keeps no more than is on its way; the
 * target checks it as it would check what comes from the hub.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { limits } from "../protocol/limits.ts";
import { type ModelRecord, refOfRecord } from "../protocol/model.ts";
import { call, callStream, type Peer } from "../runtime/call.ts";
import { counter } from "../runtime/metrics.ts";
import { basename } from "../runtime/path.ts";
import { followDownload } from "./model_download.ts";
import {
  DownloadEnded,
  type Fetched,
  type FetchWay,
  type FetchWish,
  hiveOf,
  type OnProgress,
  persistently,
} from "./model_way.ts";

type CopyWish = FetchWish & { readonly from: string };

const copied = counter("rbee_queen_model_bytes_copied_total", "Bytes of models passed on from hive to hive");

/** What would be the same with the bytes of the hub. */
const lasting: ReadonlySet<string> = new Set(["INSUFFICIENT_DISK", "DISK_FULL", "ACCESS_DENIED", "HOME_NOT_WRITABLE"]);

/**
 * Copies a model, and returns what came of it; undefined when it has to come from the hub instead, of which people are
 * told. Throws what the hub cannot help with, and the signal's reason.
 */
export async function copyModel(wish: CopyWish, way: FetchWay): Promise<Fetched | undefined> {
  const { node, from, model } = wish;
  const narrate = (human: string) =>
    way.listener.narrate({ actor: "queen-rbee", action: "model-copy", target: model, human });
  try {
    const record = await recordOf(wish, way);
    narrate(`📦 Copying ${model} from ${from} to ${node}`);
    return await persistently(
      node,
      way,
      limits.copyAttempts,
      (isFirst, onProgress) => copyOnce(wish, way, { record, isFirst, onProgress }),
    );
  } catch (thrown) {
    way.signal.throwIfAborted();
    const error = toRbeeError(thrown);
    if (lasting.has(error.code)) throw error;
    way.log.warn("a model could not be copied", { node, from, code: error.code, error: error.message });
    narrate(`↪️ ${from} cannot give it (${error.message}): it comes from the hub`);
  }
}

/** Returns how the source knows the model: the very one that was looked up, by its digest when that is told. */
async function recordOf({ node, from, model }: CopyWish, way: FetchWay): Promise<ModelRecord> {
  const { signal } = way;
  const options = { body: { model_ref: model }, signal, deadlineMs: limits.modelLookUpMs };
  const facts = await call(hiveOf(node, way), hiveRoutes.lookUpModel, options).catch(() => undefined); // no hub
  const { models } = await call(hiveOf(from, way), hiveRoutes.models, { signal });
  const record = models.find((one) => !one.damaged && isSame(one, model, facts?.digest));
  if (record) return record;
  throw new RbeeError("MODEL_NOT_FOUND", { message: "it has another one, or none any more", details: { node: from } });
}

/** Whether a hive's model is the one that a reference means. */
export function isSame(record: ModelRecord, model: string, digest?: string | null): boolean {
  return digest ? record.digest === digest : refOfRecord(record) === model;
}

interface Attempt {
  readonly record: ModelRecord;
  readonly isFirst: boolean;
  readonly onProgress: OnProgress;
}

async function copyOnce(wish: CopyWish, way: FetchWay, { record, isFirst, onProgress }: Attempt): Promise<Fetched> {
  const { node, from, model, correlationId } = wish;
  const target = hiveOf(node, way);
  const source = hiveOf(from, way);
  const cut = new AbortController();
  const signal = AbortSignal.any([way.signal, cut.signal]);
  const body = { model_ref: model, source: "peer" as const, files: filesOf(record) };
  const options = { body, signal, correlationId, deadlineMs: limits.modelLookUpMs };
  const { download_id: id, local_path, files } = await call(target, hiveRoutes.downloadModel, options);
  if (local_path !== undefined) return { localPath: local_path, source: isFirst ? "cached" : "peer" };
  // What this hive fetches from the hub already is not sent to it as well.
  if (!files) return { localPath: await followDownload(target, id, { ...way, signal }, onProgress), source: "hub" };
  try {
    const done = followDownload(target, id, { ...way, signal }, onProgress);
    done.catch(() => {}); // told below
    const sent = send({ source, target, id, files, ref: refOfRecord(record), signal });
    const path = await Promise.race([done, sent.then(() => done)]);
    return { localPath: path, source: "peer" };
  } catch (thrown) {
    // A target that waits for bytes takes none from the hub.
    if (!way.signal.aborted && !(thrown instanceof DownloadEnded)) await giveUp(target, id);
    throw thrown;
  } finally {
    cut.abort(new RbeeError("REQUEST_CANCELED"));
  }
}

/** What came stays for the next try, or for the hub. */
async function giveUp(target: Peer, id: string): Promise<void> {
  const options = { params: { id }, deadlineMs: limits.cancelAckMs, attempts: 1 };
  await call(target, hiveRoutes.cancelDownload, options).catch(() => {}); // gone, or ended by itself
}

/** What the target is told for when no hub answers. Of a split model nobody here knows the digests of its files. */
function filesOf({ local_path, reference, size_bytes, digest }: ModelRecord) {
  const sha256 = digest?.match(/^sha256:([0-9a-f]{64})$/)?.[1];
  if (sha256 === undefined || /-\d{5}-of-\d{5}\.gguf$/.test(local_path)) return undefined;
  const below = local_path.split(`/hf/${reference}/`)[1];
  return [{ path: below?.replace(/^[^/]+\//, "") ?? basename(local_path), size_bytes, sha256 }];
}

interface Sending {
  readonly source: Peer;
  readonly target: Peer;
  readonly id: string;
  readonly files: readonly { size_bytes: number; offset: number }[];
  /** The model's name at its source. */
  readonly ref: string;
  readonly signal: AbortSignal;
}

/** Sends what the target misses of each file. Throws what broke. */
async function send(sending: Sending): Promise<void> {
  for (const [file, { size_bytes: size, offset }] of sending.files.entries()) {
    if (offset < size) await sendFile(sending, { file, offset, size });
  }
}

async function sendFile(
  { source, target, id, ref, signal }: Sending,
  { file, offset, size }: { file: number; offset: number; size: number },
): Promise<void> {
  const query = { model_ref: ref, file, offset };
  const { body } = await callStream(source, hiveRoutes.modelBytes, { query, signal, attempts: 1 });
  const pieces = new Pieces(body);
  try {
    for (let at = offset; at < size;) {
      const length = Math.min(limits.copyPieceBytes, size - at);
      const answer = await call(target, hiveRoutes.receiveModel, {
        params: { id },
        query: { file, offset: at },
        upload: pieces.take(length),
        signal,
        deadlineMs: limits.copyPieceMs,
      });
      if (answer.offset !== at + length) throw ended(`the target has ${answer.offset} bytes, not ${at + length}`);
      at = answer.offset;
    }
  } finally {
    pieces.cancel();
  }
}

const ended = (why: string) => new RbeeError("CONNECTION_LOST", { message: `Cannot go on: ${why}` });

/** One stream, read as several of a given length, one after the other. */
export class Pieces {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  /** What was read beyond the last one's end. */
  #rest?: Uint8Array;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  /** Returns the next `length` bytes. The stream breaks with `CONNECTION_LOST` when there are less. */
  take(length: number): ReadableStream<Uint8Array> {
    let left = length;
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const piece = this.#rest ?? (await this.#reader.read()).value;
        if (piece === undefined) return controller.error(ended("the source ended too early"));
        const taken = piece.subarray(0, left);
        this.#rest = taken.length < piece.length ? piece.subarray(taken.length) : undefined;
        left -= taken.length;
        copied.inc(taken.length);
        controller.enqueue(taken);
        if (left === 0) controller.close();
      },
    }, { highWaterMark: 0 });
  }

  /** Lets go of the source. */
  cancel(): void {
    this.#reader.cancel().catch(() => {}); // broken already: nobody is left to tell
  }
}
