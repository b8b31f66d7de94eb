/**
 * Fetches several ranges of a file at once, where one connection alone is slow: servers far away, and those that give each
 * connection only so much. The ranges are appended in the file's order, so a part is one piece however it ends.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { Part } from "./download_part.ts";
import { readBody, Watchdog } from "./download_read.ts";
import { ask, resetText } from "./hub_fetch.ts";

/** What is fetched. */
export interface Lanes {
  /** Where the bytes themselves lie: behind all redirects. */
  readonly address: string;
  /** Of the version that the part is of; null when only the digest will tell. */
  readonly etag: string | null;
  readonly size: number;
  readonly signal: AbortSignal;
  readonly stallMs: number;
  readonly onBytes: (bytes: number) => void;
  readonly onReceived: (bytes: number) => void;
}

/** A range: from, and up to but without `to`. */
interface Range {
  readonly from: number;
  readonly to: number;
  /** Resolves when all before it is appended; rejects when it will never be. */
  readonly before: Promise<void>;
  readonly appended: PromiseWithResolvers<void>;
}

/** Fetches what is missing of the part. Throws `DOWNLOAD_FAILED`, when what came in order has been appended. */
export async function fetchInLanes(part: Part, lanes: Lanes): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([lanes.signal, stop.signal]);
  // By HTTP/2 they would share one connection, and be no quicker than it.
  using client = Deno.createHttpClient({ http2: false });
  const next = ranges(part.bytes, lanes.size);
  const lane = async () => {
    const memory = [new Uint8Array(limits.downloadLaneBytes), new Uint8Array(limits.downloadLaneBytes)];
    for (let range = next(); range; range = next()) {
      const bytes = memory[0].subarray(0, range.to - range.from);
      memory.reverse(); // what was appended last may still be on its way to the disk
      try {
        await fetchRange(part, { ...lanes, signal, client }, { range, bytes });
        range.appended.resolve();
      } catch (error) {
        range.appended.reject(error);
        stop.abort(error);
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: limits.downloadLanes }, lane));
  if (lanes.signal.aborted) throw lanes.signal.reason;
  if (ends.some(({ status }) => status === "rejected")) throw stop.signal.reason;
}

function ranges(start: number, size: number): () => Range | undefined {
  let from = start;
  let before = Promise.resolve();
  return () => {
    if (from >= size) return undefined;
    const to = Math.min(size, from + limits.downloadLaneBytes);
    const appended = Promise.withResolvers<void>();
    appended.promise.catch(() => {}); // told to whoever comes after it
    const range = { from, to, before, appended };
    [from, before] = [to, appended.promise];
    return range;
  };
}

/** Fetches a range into memory and appends it when it is its turn; of one that broke, what came of it. */
async function fetchRange(
  part: Part,
  lanes: Lanes & { client: Deno.HttpClient },
  { range, bytes }: { range: Range; bytes: Uint8Array },
): Promise<void> {
  const quiet = new Watchdog(lanes.stallMs);
  let filled = 0;
  let failure: unknown;
  try {
    const signal = AbortSignal.any([lanes.signal, quiet.signal]);
    const headers = {
      range: `bytes=${range.from}-${range.to - 1}`,
      ...(lanes.etag !== null && { "if-range": lanes.etag }),
    };
    const { response, host } = await ask(lanes.address, { headers, signal, client: lanes.client });
    const isIt = response.headers.get("content-range") === `bytes ${range.from}-${range.to - 1}/${lanes.size}`;
    if (response.status !== 206 || !isIt) {
      await response.body?.cancel();
      throw broken(`status ${response.status} of ${host}`);
    }
    await readBody(response, { bytesMax: bytes.length, signal: lanes.signal, quiet }, (piece) => {
      bytes.set(piece, filled);
      filled += piece.length;
      lanes.onReceived(piece.length);
    });
    if (filled < bytes.length) throw broken(quiet.signal.aborted ? "no bytes came" : resetText);
  } catch (error) {
    failure = quiet.signal.aborted ? broken("no bytes came") : error;
  } finally {
    quiet.stop();
  }
  await range.before;
  // By the piece: what is hashed at once holds up everything else.
  for (let at = 0; at < filled; at += limits.downloadPieceBytes) {
    await part.add(bytes.subarray(at, Math.min(filled, at + limits.downloadPieceBytes)));
    lanes.onBytes(part.bytes);
  }
  if (failure !== undefined) throw failure;
}

function broken(reason: string): RbeeError {
  return new RbeeError("DOWNLOAD_FAILED", {
    message: `Cannot go on with the download: ${reason}`,
    details: { reason },
  });
}
