/**
 * A model that another hive sends: its files come in their order as bodies of requests, and are verified as if the hub
 * had sent them.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { finishModelFile, mismatch, type Telling } from "./download.ts";
import { Part } from "./download_part.ts";
import type { RemoteFile } from "./hub.ts";

/** One file and where it goes. */
export interface PlacedFile {
  readonly file: RemoteFile;
  readonly path: string;
}

/** What is received. */
export interface ReceiptOptions {
  readonly files: readonly PlacedFile[];
  readonly signal: AbortSignal;
  /** No byte for this long is a break. */
  readonly stallMs: number;
  /** Told of one file's bytes, by its number. */
  /** Called when something came. */
  readonly onPiece: () => void;
  readonly telling: (file: number) => Pick<Telling, "onBytes" | "onReceived">;
}

/** A model that is being received. */
export class Receipt {
  readonly #options: ReceiptOptions;
  readonly #whole = Promise.withResolvers<void>();
  #number = 0;
  #part: Part | undefined;
  #isBusy = false;

  private constructor(options: ReceiptOptions) {
    this.#options = options;
    this.#whole.promise.catch(() => {}); // told by whoever waits for it
    options.signal.addEventListener("abort", () => void this.#leave(), { once: true });
  }

  /** Opens what is here of the first file that is not whole. */
  static async open(options: ReceiptOptions): Promise<Receipt> {
    const receipt = new Receipt(options);
    await receipt.#next();
    return receipt;
  }

  /** Resolves when the whole model is here. Rejects with what was wrong with it, and the signal's reason. */
  get whole(): Promise<void> {
    return this.#whole.promise;
  }

  /** Where a sender goes on: number of the file, and bytes of it. */
  get position(): { file: number; offset: number } {
    return { file: this.#number, offset: this.#part?.bytes ?? 0 };
  }

  /**
   * Takes bytes until the body or the file is over. Returns how many bytes of the file are here then, and whether the
   * whole model is. Throws `INVALID_REQUEST` with the right position, `CONNECTION_LOST`, `CHECKSUM_MISMATCH`, `DISK_FULL`.
   */
  async take(
    at: { file: number; offset: number },
    body: ReadableStream<Uint8Array> | null,
  ): Promise<{ offset: number; complete: boolean }> {
    const part = this.#part;
    const position = this.position;
    if (this.#isBusy || !part || at.file !== position.file || at.offset !== position.offset) {
      await body?.cancel();
      const why = this.#isBusy ? "others are being received" : `the next ones are from ${position.offset} on`;
      throw new RbeeError("INVALID_REQUEST", {
        message: `Cannot take these bytes: ${why}`,
        details: position,
      });
    }
    this.#isBusy = true;
    try {
      if (body) await this.#read(part, body);
      const offset = part.bytes;
      if (offset === this.#options.files[this.#number].file.size) await this.#finish(part);
      return { offset, complete: this.#number === this.#options.files.length };
    } finally {
      this.#isBusy = false;
      if (this.#options.signal.aborted) await this.#leave();
    }
  }

  async #read(part: Part, body: ReadableStream<Uint8Array>): Promise<void> {
    const { files, signal, stallMs, telling, onPiece } = this.#options;
    const told = telling(this.#number);
    const { size } = files[this.#number].file;
    const reader = body.getReader();
    const leave = () => void reader.cancel().catch(() => {}); // broken already
    signal.addEventListener("abort", leave, { once: true });
    try {
      while (part.bytes < size) {
        const timer = setTimeout(leave, stallMs);
        const step = await reader.read().catch(() => undefined).finally(() => clearTimeout(timer)); // it broke: said below
        signal.throwIfAborted();
        if (!step || step.done) break;
        const bytes = step.value.subarray(0, size - part.bytes);
        onPiece();
        await part.add(bytes);
        told.onReceived(bytes.length);
        told.onBytes(part.bytes);
      }
    } finally {
      signal.removeEventListener("abort", leave);
      leave();
      await part.settle();
    }
  }

  async #finish(part: Part): Promise<void> {
    const { file } = this.#options.files[this.#number];
    const sha256 = part.digest();
    try {
      if (file.sha256 !== null && sha256 !== file.sha256) {
        await part.discard();
        throw mismatch(file, sha256);
      }
      await finishModelFile(part, file);
      await this.#close();
      this.#number++;
      await this.#next();
    } catch (error) {
      await this.#close();
      this.#whole.reject(error);
      throw error;
    }
  }

  /** Moves on to the next file that is not whole. */
  async #next(): Promise<void> {
    const { files, signal, telling } = this.#options;
    for (; this.#number < files.length; this.#number++) {
      const { file, path } = files[this.#number];
      this.#part = await Part.open(path, { size: file.size, sha256: file.sha256 }, signal);
      telling(this.#number).onBytes(this.#part?.bytes ?? file.size);
      if (this.#part && this.#part.bytes === file.size) return await this.#finish(this.#part);
      if (this.#part) return;
    }
    this.#whole.resolve();
  }

  async #leave(): Promise<void> {
    this.#whole.reject(this.#options.signal.reason);
    if (!this.#isBusy) await this.#close();
  }

  async #close(): Promise<void> {
    const part = this.#part;
    this.#part = undefined;
    await part?.[Symbol.asyncDispose]();
  }
}
