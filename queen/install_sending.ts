/**
 * Files on their way to a node: read and packed piece by piece, so that neither their size nor the link's speed costs
 * memory, and no piece holds up the queen's other work.
 *
 * @module
 */
import { Readable } from "node:stream";
import { setImmediate as immediately } from "node:timers/promises";
import { createGzip } from "node:zlib";
import { limits } from "../protocol/limits.ts";
import type { ProgressEvent } from "../protocol/progress.ts";

/** What of a file goes out. */
export interface SendOptions {
  /** Goes out first, as it is. */
  readonly head: Uint8Array;
  readonly path: string;
  readonly isPacked: boolean;
  /** Told of each piece that was read, in bytes of the file. */
  readonly onBytes: (bytes: number) => void;
}

/** Returns the stream of a file behind its head. It reads no faster than it is read; cancelling it closes the file. */
export function sending(options: SendOptions): ReadableStream<Uint8Array> {
  return ReadableStream.from(pieces(options));
}

async function* pieces({ head, path, isPacked, onBytes }: SendOptions): AsyncGenerator<Uint8Array> {
  yield head;
  const source = readPieces(path, onBytes);
  if (!isPacked) return yield* source;
  try {
    yield* quickest(source);
  } finally {
    await source.return(undefined); // whoever read us may have left half way
  }
}

/**
 * Sends parts that gzip unpacks as one file: the first is packed, the second is not, and the others are as the one of
 * them that took less time. A link that is quicker than packing gets the bytes as they are.
 */
async function* quickest(source: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const packed = yield* part(source, { level: limits.installPackLevel, bytesMax: limits.installTrialBytes });
  if (packed.isLast) return;
  const plain = yield* part(source, { level: 0, bytesMax: limits.installTrialBytes, msMax: packed.ms });
  if (plain.isLast) return;
  const level = plain.ms / plain.bytes < packed.ms / packed.bytes ? 0 : limits.installPackLevel;
  yield* part(source, { level, bytesMax: Infinity });
}

interface PartOptions {
  /** Of gzip; 0 packs nothing. */
  readonly level: number;
  readonly bytesMax: number;
  /** It ends after this time as well. */
  readonly msMax?: number;
}

/** Sends the next bytes of the source, as many as the part may have. Returns how that went. */
async function* part(
  source: AsyncGenerator<Uint8Array>,
  { level, bytesMax, msMax = Infinity }: PartOptions,
): AsyncGenerator<Uint8Array, { bytes: number; ms: number; isLast: boolean }> {
  const startedAt = performance.now();
  const ms = () => performance.now() - startedAt;
  let bytes = 0;
  let isLast = false;
  async function* some(): AsyncGenerator<Uint8Array> {
    while (bytes === 0 || (bytes < bytesMax && ms() < msMax)) {
      const { done, value } = await source.next();
      if (done) return void (isLast = true);
      bytes += value.length;
      yield value;
    }
  }
  const input = Readable.from(some());
  const output = createGzip({ level, chunkSize: limits.installPieceBytes });
  input.on("error", (error) => output.destroy(error));
  input.pipe(output);
  try {
    for await (const piece of output) yield new Uint8Array(piece);
  } finally {
    input.destroy();
    output.destroy();
  }
  return { bytes, ms: ms(), isLast };
}

async function* readPieces(path: string, onBytes: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  using file = await Deno.open(path);
  for (;;) {
    const piece = new Uint8Array(limits.installPieceBytes);
    const bytes = await file.read(piece);
    if (bytes === null) return;
    onBytes(bytes);
    yield piece.subarray(0, bytes);
    await immediately(); // timers and sockets first: packing and piping go on in the same turn otherwise
  }
}

const megabyte = 1024 * 1024;

/** Turns counted bytes into progress events, not too many of them. */
export class SendProgress {
  readonly #total: number;
  readonly #tell: (event: ProgressEvent) => void;
  readonly #startedAt = performance.now();
  #sent = 0;
  #toldAt = -Infinity;

  constructor(total: number, tell: (event: ProgressEvent) => void) {
    this.#total = total;
    this.#tell = tell;
  }

  /** Counts bytes of a file; tells at most every `installProgressMs`, and the end. */
  add(file: string, bytes: number): void {
    this.#sent += bytes;
    const now = performance.now();
    if (this.#sent < this.#total && now - this.#toldAt < limits.installProgressMs) return;
    this.#toldAt = now;
    const seconds = Math.max(0.001, (now - this.#startedAt) / 1_000);
    const speed_mbps = Math.round(this.#sent / megabyte / seconds * 10) / 10;
    this.#tell({ stage: "sending", file, bytes_sent: this.#sent, bytes_total: this.#total, speed_mbps });
  }
}
