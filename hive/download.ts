/**
 * Fetches one file: by ranges, taken up again after any break, and verified. S17 and R8.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { fetchInLanes } from "./download_lanes.ts";
import { Part } from "./download_part.ts";
import { Watchdog } from "./download_read.ts";
import { append } from "./download_stream.ts";
import { type Retry, retryAfterMs, Tries } from "./download_tries.ts";
import { checkGguf } from "./gguf_check.ts";
import type { RemoteFile } from "./hub.ts";
import { type Answered, ask, resetText } from "./hub_fetch.ts";
import { checkUse } from "./model_file.ts";
import { partOf } from "./model_places.ts";

/** What to fetch, and where it goes. */
export interface FileDownload {
  readonly file: RemoteFile;
  /** Where the file lies in the end; see `makePlace`. */
  readonly path: string;
  readonly token?: string;
  readonly signal: AbortSignal;
  /** No byte for this long is a break. */
  readonly stallMs: number;
  /** Told of how many bytes of the file are here. */
  readonly onBytes: (bytes: number) => void;
  /** Told of how many bytes came over the network. */
  readonly onReceived: (bytes: number) => void;
  readonly onRetry: (retry: Retry) => void;
  /** Returns the error for an answer that is none of success. */
  readonly refusal: (response: Response) => RbeeError;
}

/** Who is told of what. */
export type Telling = Pick<FileDownload, "onBytes" | "onReceived" | "onRetry">;

/**
 * Fetches the file; when it resolves, all of it is on disk under its name, and its digest beside it. Throws `DOWNLOAD_FAILED`, `DOWNLOAD_TIMEOUT`, `CHECKSUM_MISMATCH`, `DISK_FULL`, `ACCESS_DENIED`,
 * `MODEL_NOT_FOUND`, and the signal's reason.
 */
export async function downloadFile(download: FileDownload): Promise<void> {
  const { file, path, signal } = download;
  await using part = await Part.open(path, { size: file.size, sha256: file.sha256 }, signal);
  if (!part) {
    download.onBytes(file.size);
    return;
  }
  for (let round = 1;; round++) {
    await fetchRest(part, download);
    const sha256 = part.digest();
    if (file.sha256 === null || sha256 === file.sha256) return await finishModelFile(part, file);
    if (round === 2) {
      await part.discard();
      throw mismatch(file, sha256);
    }
    download.onRetry({ reason: "the digest differs", attempt: 2, attempts: 2, waitMs: 0 });
    await part.restart(null);
  }
}

/**
 * Makes a whole part the file. Throws `MODEL_LOAD_FAILED` or `MODEL_INCOMPATIBLE` when it begins a model and its header is
 * not that of one.
 */
export async function finishModelFile(part: Part, file: RemoteFile): Promise<void> {
  await part.sync();
  try {
    if (file.isFirst) checkUse(part.path, await checkGguf(partOf(part.path), part.path));
  } catch (error) {
    await part.discard(); // a page that says "log in", most likely
    throw error;
  }
  await part.finish();
}

/** Returns the error for a file whose digest is not the one that was told. */
export function mismatch(file: RemoteFile, found: string): RbeeError {
  return new RbeeError("CHECKSUM_MISMATCH", {
    message: `Cannot use the download of ${file.path}: its SHA-256 differs from what the hub tells`,
    details: { file: file.path, expected: file.sha256, found },
    hint: "Try again; if that does not help, what lies at the hub or at the mirror is damaged",
  });
}

/** Fetches until all bytes are here. */
async function fetchRest(part: Part, download: FileDownload): Promise<void> {
  const { file, signal, onRetry } = download;
  const tries = new Tries({ signal, onRetry });
  /** More bytes than ever: a server that always begins anew must not look like one that gets on. */
  let most = part.bytes;
  download.onBytes(part.bytes);
  while (part.bytes < file.size) {
    try {
      await fetchOnce(part, download);
    } catch (error) {
      await part.settle();
      if (signal.aborted) throw signal.reason;
      if (part.bytes >= most + limits.downloadGainBytesMin) tries.gained();
      most = Math.max(most, part.bytes);
      await tries.failedWith(error).catch((last) => {
        throw signal.aborted ? signal.reason : withTries(last, { attempts: tries.failed, part, file });
      });
    }
  }
  await part.settle();
}

function withTries(error: unknown, at: { attempts: number; part: Part; file: RemoteFile }): unknown {
  if (!(error instanceof RbeeError) || !/^DOWNLOAD_/.test(error.code)) return error;
  const { attempts, part, file } = at;
  const tried = attempts === 1 ? "" : ` (${attempts} attempts)`;
  return new RbeeError(error.code, {
    message: `${error.message}${tried}`,
    details: { ...error.details, attempts, bytes_downloaded: part.bytes, bytes_total: file.size },
    hint: part.bytes > 0 ? "Check the network and run the command again: it goes on from there" : error.hint,
  });
}

/** One request; whatever it brings is kept. */
async function fetchOnce(part: Part, download: FileDownload): Promise<void> {
  const { file, token, signal } = download;
  const quiet = new Watchdog(download.stallMs);
  const both = AbortSignal.any([signal, quiet.signal]);
  try {
    const headers: Record<string, string> = part.bytes === 0 ? {} : { range: `bytes=${part.bytes}-` };
    if (part.bytes > 0 && part.state.etag) headers["if-range"] = part.state.etag;
    const answered = await ask(file.url, { headers, token, signal: both });
    try {
      await accept(answered, part, download);
      await receive(answered, part, { download, quiet });
    } finally {
      await answered.response.body?.cancel().catch(() => {}); // read to its end, or broken
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw quiet.signal.aborted ? stalled(part, download) : error;
  } finally {
    quiet.stop();
  }
}

/** Takes what comes; where one connection is slow, the rest by several. */
async function receive(
  { response, address }: Answered,
  part: Part,
  { download, quiet }: { download: FileDownload; quiet: Watchdog },
): Promise<void> {
  const { file, signal, stallMs, onBytes, onReceived } = download;
  const { status, headers } = response;
  const { etag } = part.state;
  const takesRanges = status === 206 || headers.get("accept-ranges") === "bytes";
  const mayBeSlow = !(takesRanges && (etag !== null || file.sha256 !== null));
  const end = await append(response, part, { size: file.size, signal, quiet, mayBeSlow, onBytes, onReceived });
  if (end === "broken") throw broken(resetText, new URL(file.url).host);
  if (end === "whole") return;
  quiet.stop();
  await fetchInLanes(part, { address, etag, size: file.size, signal, stallMs, onBytes, onReceived });
}

/** Checks an answer's head, and begins anew where it does not go on from what is here. */
async function accept({ response, host }: Answered, part: Part, download: FileDownload): Promise<void> {
  const { file } = download;
  const { status, headers } = response;
  if (status === 416) {
    await part.restart(null);
    throw broken("the server has no such range", host);
  }
  if (status !== 200 && status !== 206) {
    const error = download.refusal(response);
    const wait = retryAfterMs(headers, Date.now());
    const reason = `status ${status} of ${host}`;
    throw new RbeeError(error.code, {
      ...{ message: error.message, hint: error.hint },
      details: { ...error.details, status, reason, ...(wait !== undefined && { retry_after_ms: wait }) },
    });
  }
  if ((headers.get("content-encoding") ?? "identity") !== "identity") throw broken("the answer is packed", host);
  const etag = strong(headers.get("etag"));
  if (status === 200) {
    if (part.bytes > 0 || etag !== part.state.etag) await part.restart(etag);
  } else if (rangeStart(headers) !== part.bytes) {
    await part.restart(null);
    throw broken("the server sent another range", host);
  }
  const total = status === 206 ? rangeTotal(headers) : lengthOf(headers);
  if (total === null || total === file.size) return;
  await part.restart(null);
  throw broken(`the server announces ${total} bytes, and the file has ${file.size}`, host);
}

function stalled(part: Part, { stallMs, file }: FileDownload): RbeeError {
  const seconds = Math.round(stallMs / 100) / 10;
  return new RbeeError("DOWNLOAD_TIMEOUT", {
    message: `Cannot download ${file.path}: no bytes came for ${seconds} s`,
    details: { reason: `no bytes came for ${seconds} s`, bytes_downloaded: part.bytes },
  });
}

function broken(reason: string, host: string): RbeeError {
  return new RbeeError("DOWNLOAD_FAILED", {
    message: `Cannot download from ${host}: ${reason}`,
    details: { reason, host },
  });
}

/** A weak tag does not promise the same bytes. */
function strong(etag: string | null): string | null {
  return etag !== null && /^"[^"]{1,200}"$/.test(etag) ? etag : null;
}

const lengthOf = (headers: Headers) => numberOr(headers.get("content-length"));
const rangeStart = (headers: Headers) => numberOr(headers.get("content-range")?.match(/^bytes (\d+)-/)?.[1]);
const rangeTotal = (headers: Headers) => numberOr(headers.get("content-range")?.match(/\/(\d+)$/)?.[1]);

function numberOr(text: string | null | undefined): number | null {
  return text && /^\d+$/.test(text) ? Number(text) : null;
}
