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
const readBytes = { first: 64 * 1024, growth: 4, max: 4 * 1024 * 1024 } as const;

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
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
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
    for (let i = 0; i < count; i++) {
      // Not one promise for each of 300,000 words: only where the bytes at hand end.
      if (!this.#has(8)) await this.#need(8);
      this.skip(this.#length());
    }
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

async function readWhole(source: GgufSource, offset: number, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(size);
  for (let filled = 0; filled < size;) {
    const piece = await source.read(offset + filled, size - filled);
    if (piece.length === 0) {
      throw damagedGguf("the file is truncated or damaged", { size_bytes: source.sizeBytes });
    }
    whole.set(piece.subarray(0, size - filled), filled);
    filled += piece.length;
  }
  return whole;
}
