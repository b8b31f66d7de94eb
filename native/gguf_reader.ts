/**
 * Walks forward through the first bytes of a GGUF file, wherever the file lies. Every length that the file claims is
 * compared with a bound before anything is read or kept for it.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";

/** Where the bytes come from: a file, or ranges of one at a hub. */
export interface GgufSource {
  /** Of the whole file. */
  readonly sizeBytes: number;
  /** Returns bytes from `offset` on, at most `length` of them; none at all means that the source ends there. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** How much is read at once: little first, since most headers are small, then more, since some vocabularies are not. */
const readBytes = { first: 64 * 1024, growth: 4, max: 2 * 1024 * 1024 } as const;

/** Returns the error for a file that is none, or ends too early: another copy of it may be whole. */
export function damagedGguf(state: string, details: Record<string, unknown> = {}): RbeeError {
  return new RbeeError("MODEL_LOAD_FAILED", { message: `Cannot load the model: ${state}`, details });
}

/** Returns the error for a header that says what no model says, or what nothing here reads. */
export function hostileGguf(state: string, details: Record<string, unknown> = {}): RbeeError {
  return new RbeeError("MODEL_INCOMPATIBLE", { message: `Cannot use this model: ${state}`, details });
}

/** A place in a header, and the bytes around it. */
export class GgufReader {
  /** Offset in the file of what is read next. */
  position = 0;
  readonly #source: GgufSource;
  #bytes = new Uint8Array(0) as Uint8Array;
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** Offset of `#bytes` in the file. */
  #start = 0;
  #nextRead: number = readBytes.first;
  #kept = 0;

  constructor(source: GgufSource) {
    this.#source = source;
  }

  /** Counts bytes that will stay in memory. Throws when a header wants more of it than any model does. */
  keep(bytes: number): void {
    this.#kept += bytes;
    if (this.#kept > limits.ggufKeptBytesMax) throw hostileGguf("its header is too large");
  }

  /** Moves on by that many bytes without reading them. */
  skip(bytes: number): void {
    this.#checkEnd(this.position + bytes);
    this.position += bytes;
  }

  /** Moves on over that many texts. */
  async skipTexts(count: number): Promise<void> {
    for (let left = count - this.#skipTextsAtHand(count); left > 0; left -= 1 + this.#skipTextsAtHand(left - 1)) {
      await this.#need(8);
      this.skip(this.#length());
    }
  }

  /** Returns how many texts it went past. One tight loop: a vocabulary has 300,000 of them, and twice as many merges. */
  #skipTextsAtHand(count: number): number {
    const view = this.#view;
    const last = view.byteLength - 8;
    let at = this.position - this.#start;
    let done = 0;
    while (done < count && at <= last) {
      const length = view.getUint32(at, true);
      if (length > limits.ggufTextBytesMax || view.getUint32(at + 4, true) !== 0) break; // told by who reads it slowly
      at += 8 + length;
      done++;
    }
    this.skip(this.#start + at - this.position);
    return done;
  }

  /** Returns the next `bytes` bytes; they are overwritten by what is read later. */
  async take(bytes: number): Promise<DataView> {
    await this.#need(bytes);
    const at = this.position - this.#start;
    this.position += bytes;
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, bytes);
  }

  /** Returns the next text, whose length stands in front of it. */
  async text(bytesMax: number = limits.ggufTextBytesMax): Promise<string> {
    await this.#need(8);
    const length = this.#length(bytesMax);
    this.keep(length);
    return new TextDecoder().decode(await this.take(length));
  }

  /** Returns an unsigned number of 4 bytes. */
  async number(): Promise<number> {
    return (await this.take(4)).getUint32(0, true);
  }

  /** Returns a count of 8 bytes. Throws when it is above `max`. */
  async count(max: number, what: string): Promise<number> {
    const view = await this.take(8);
    return checkedCount(view, 0, { max, what });
  }

  #length(max: number = limits.ggufTextBytesMax): number {
    const length = checkedCount(this.#view, this.position - this.#start, { max, what: "bytes of a text" });
    this.position += 8;
    return length;
  }

  #has(bytes: number): boolean {
    return this.position >= this.#start && this.position + bytes <= this.#start + this.#bytes.length;
  }

  #checkEnd(end: number): void {
    // First: what no header has is no matter of how long the file is.
    if (end > limits.ggufHeaderBytesMax) throw hostileGguf("its header is too large");
    const { sizeBytes } = this.#source;
    if (end > sizeBytes) throw damagedGguf("the file is truncated or damaged", { size_bytes: sizeBytes });
  }

  /** Makes the next `bytes` bytes stand in the buffer. */
  async #need(bytes: number): Promise<void> {
    if (this.#has(bytes)) return;
    this.#checkEnd(this.position + bytes);
    const size = Math.min(this.#source.sizeBytes - this.position, Math.max(bytes, this.#nextRead));
    this.#nextRead = Math.min(readBytes.max, this.#nextRead * readBytes.growth);
    this.#bytes = await readWhole(this.#source, this.position, size);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
    this.#start = this.position;
  }
}

function checkedCount(view: DataView, at: number, { max, what }: { max: number; what: string }): number {
  const count = view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
  if (count > max) throw hostileGguf(`its header is damaged (${count} ${what})`);
  return count;
}

async function readWhole(source: GgufSource, offset: number, size: number): Promise<Uint8Array> {
  const first = await source.read(offset, size);
  if (first.length >= size) return first.subarray(0, size);
  const whole = new Uint8Array(size);
  whole.set(first);
  for (let piece = first, filled = first.length; filled < size; filled += piece.length) {
    if (piece.length === 0) throw damagedGguf("the file is truncated or damaged", { size_bytes: source.sizeBytes });
    piece = await source.read(offset + filled, size - filled);
    whole.set(piece.subarray(0, size - filled), filled);
  }
  return whole;
}
